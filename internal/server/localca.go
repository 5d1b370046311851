package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"doorward/internal/fault"
)

// A local CA, for the demo and for trying things out on one machine.
//
// It may sign names below .localhost only, and says so in its own certificate (RFC 5280 4.2.1.10): whoever steals its
// key from a demo directory cannot pretend to be a bank, even where somebody has put the CA into their trust store. The
// leaves live in memory and are made anew at every start.

const (
	localCALife   = 5 * 365 * 24 * time.Hour
	localLeafLife = 397 * 24 * time.Hour // browsers refuse longer ones
	localSlack    = time.Hour
)

// LocalCA opens dir/ca.pem and dir/ca.key, or makes them (the key readable by its owner only), and returns certificates
// for the hosts and the path of ca.pem. A CA that ends within a leaf's life is replaced. It fails with fault.Forbidden
// "key-readable" when others may read the key.
func LocalCA(dir string, hosts []string, now time.Time) (c *Certificates, file string, err error) {
	file = filepath.Join(dir, "ca.pem")
	ca, key, err := readCA(file, filepath.Join(dir, "ca.key"))
	if errors.Is(err, fs.ErrNotExist) || err == nil && now.Add(localLeafLife).After(ca.NotAfter) {
		ca, key, err = makeCA(file, filepath.Join(dir, "ca.key"), now)
	}
	if err != nil {
		return nil, "", err
	}
	var all []tls.Certificate
	for _, host := range hosts {
		leaf, err := issue(ca, key, host, now)
		if err != nil {
			return nil, "", fmt.Errorf("certificate for %s: %w", host, err)
		}
		all = append(all, leaf)
	}
	if len(all) == 0 {
		return nil, "", errors.New("server: a local CA without hosts")
	}
	c = &Certificates{}
	c.loaded.Store(&all)
	return c, file, nil
}

func readCA(file, keyFile string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	info, err := os.Stat(keyFile)
	if err != nil {
		return nil, nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, nil, fault.New(fault.Forbidden, "key-readable", "file", keyFile).Because(fmt.Errorf("%s can be read by others: chmod 600", keyFile))
	}
	pair, err := tls.LoadX509KeyPair(file, keyFile)
	if err != nil {
		return nil, nil, err
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !pair.Leaf.IsCA {
		return nil, nil, fmt.Errorf("%s is no CA of ours", file)
	}
	return pair.Leaf, key, nil
}

func makeCA(file, keyFile string, now time.Time) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	t := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "Doorward demo CA, this directory only", Organization: []string{"Doorward demo"}},
		NotBefore:             now.Add(-localSlack),
		NotAfter:              now.Add(localCALife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		PermittedDNSDomains:   []string{"localhost"},

		PermittedDNSDomainsCritical: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	if err := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600); err != nil {
		return nil, nil, err
	}
	return ca, key, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

func issue(ca *x509.Certificate, caKey *ecdsa.PrivateKey, host string, now time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	t := &x509.Certificate{
		Subject:     pkix.Name{CommonName: host},
		DNSNames:    []string{host},
		NotBefore:   now.Add(-localSlack),
		NotAfter:    now.Add(localLeafLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},

		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, ca, key.Public(), caKey)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}
