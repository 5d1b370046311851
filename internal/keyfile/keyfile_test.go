package keyfile

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"doorward/internal/fault"
	"doorward/internal/secret"
)

// made is a device's key and certificate, its issuing authority and the root.
type made struct {
	key          crypto.Signer
	leaf, ca     *x509.Certificate
	root         *x509.Certificate
	caKey        crypto.Signer
	leafTemplate *x509.Certificate
}

func sign(t *testing.T, template, parent *x509.Certificate, public crypto.PublicKey, signer crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func device(t *testing.T, key crypto.Signer) made {
	t.Helper()
	now := time.Now()
	template := func(cn string, serial int64, ca bool) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: cn}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
			IsCA: ca, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		}
	}
	rootKey, caKey := newKey(t), newKey(t)
	m := made{key: key, caKey: caKey}
	rt := template("Sample Root", 1, true)
	m.root = sign(t, rt, rt, rootKey.Public(), rootKey)
	m.ca = sign(t, template("Sample Issuing", 2, true), m.root, caKey.Public(), rootKey)
	m.leafTemplate = template("Meridian Portal, Laptop, 2026", 3, false)
	m.leaf = sign(t, m.leafTemplate, m.ca, key.Public(), caKey)
	return m
}

func newKey(t *testing.T) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	c := exec.Command(name, args...)
	c.Env = append(os.Environ(), "HOME="+t.TempDir())
	out, err := c.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

// The readers that people's systems have read every target's file, find the key's certificate and the one that signed it, and
// refuse it with another password.
func TestREQ_A15_EverySystemReadsItsFile(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range []made{device(t, newKey(t)), device(t, rsaKey)} {
		for _, target := range Targets[i*(len(Targets)-2):] { // of RSA one of each encryption
			t.Run(string(target), func(t *testing.T) {
				password := secret.Said()
				der, err := PKCS12(target, m.key, m.leaf, []*x509.Certificate{m.ca, m.root}, password)
				if err != nil {
					t.Fatal(err)
				}
				dir := t.TempDir()
				file := filepath.Join(dir, "x.p12")
				if err := os.WriteFile(file, der, 0o600); err != nil {
					t.Fatal(err)
				}
				out := run(t, "openssl", "pkcs12", "-legacy", "-in", file, "-nokeys", "-passin", "pass:"+password)
				if !strings.Contains(out, "CN = Meridian Portal, Laptop, 2026") && !strings.Contains(out, `CN = "Meridian Portal, Laptop, 2026"`) ||
					strings.Count(out, "BEGIN CERTIFICATE") != 2 || strings.Contains(out, "subject=CN = Sample Root") {
					t.Errorf("openssl reads %s", out)
				}
				if out, err := exec.Command("openssl", "pkcs12", "-legacy", "-in", file, "-nokeys", "-passin", "pass:"+password+"x").CombinedOutput(); err == nil {
					t.Errorf("a wrong password reads %s", out)
				}
				run(t, "certutil", "-N", "-d", "sql:"+dir, "--empty-password")
				run(t, "pk12util", "-i", file, "-d", "sql:"+dir, "-W", password, "-K", "")
				if out := run(t, "certutil", "-K", "-d", "sql:"+dir); !regexp.MustCompile(`(?i)(ec|rsa)\s+[0-9a-f]{40}`).MatchString(out) {
					t.Errorf("NSS has no key: %s", out)
				}
				if out := run(t, "certtool", "--p12-info", "--inder", "--infile", file, "--password", password); !strings.Contains(out, "BEGIN") {
					t.Errorf("GnuTLS reads %s", out)
				}
				if target != Widest && target != Firefox {
					return // Java takes a second to start, and sees two kinds of files
				}
				if out := run(t, "keytool", "-list", "-v", "-storetype", "PKCS12", "-keystore", file, "-storepass", password); !strings.Contains(out, "PrivateKeyEntry") ||
					!strings.Contains(out, "chain length: 2") {
					t.Errorf("Java reads %s", out)
				}
			})
		}
	}
}

func TestAKeyOfAnotherOrAPasswordNobodyCanTypeIsRefused(t *testing.T) {
	m := device(t, newKey(t))
	if _, err := PKCS12(Widest, newKey(t), m.leaf, nil, "x"); err == nil {
		t.Error("another key goes with the certificate")
	}
	for _, bad := range []string{"", "schön", "two words"} {
		if _, err := PKCS12(Widest, m.key, m.leaf, nil, bad); err == nil {
			t.Errorf("password %q", bad)
		}
	}
	for _, s := range []string{"", "IOS", "os/2", strings.Repeat("x", 1e6)} {
		if _, err := ParseTarget(s); !fault.Of(err, fault.Invalid) {
			t.Errorf("target %.10q: %v", s, err)
		}
	}
	if name := Name("wealth", 2026, "p12"); name != "wealth-2026.p12" {
		t.Error(name)
	}
}

// A profile holds the file as it is, no password, and is signed by a chain that openssl verifies; changed, it is not.
func TestREQ_A36_TheProfileIsSigned(t *testing.T) {
	m := device(t, newKey(t))
	password := secret.Said()
	file, err := PKCS12(IOS, m.key, m.leaf, []*x509.Certificate{m.ca}, password)
	if err != nil {
		t.Fatal(err)
	}
	p := Profile{Realm: "wealth", Device: "d1", Title: "Meridian Portal <iPad> & co", Organization: "Meridian", About: "Lets you sign in.", File: "wealth-2026.p12"}
	plain, err := p.MobileConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := p.MobileConfig(file)
	if !bytes.Equal(plain, again) {
		t.Error("the same profile differs, so it would be installed twice")
	}
	text := strings.Join(strings.Fields(string(plain)), "")
	if !strings.Contains(text, base64.StdEncoding.EncodeToString(file)) || strings.Contains(text, password) || !strings.Contains(text, "com.apple.security.pkcs12") {
		t.Errorf("%s", plain)
	}
	signer := newKey(t)
	tls := sign(t, m.leafTemplate, m.ca, signer.Public(), m.caKey)
	der, err := Sign(plain, signer, tls, []*x509.Certificate{m.ca})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	root := write("root.pem", PEM(m.root))
	verify := func(der []byte) ([]byte, error) {
		return exec.Command("openssl", "cms", "-verify", "-inform", "DER", "-in", write("p", der), "-CAfile", root, "-purpose", "any", "-out", filepath.Join(dir, "out")).CombinedOutput()
	}
	if out, err := verify(der); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if got, _ := os.ReadFile(filepath.Join(dir, "out")); !bytes.Equal(bytes.ReplaceAll(got, []byte("\r"), nil), bytes.ReplaceAll(plain, []byte("\r"), nil)) {
		t.Error("what was signed is not the profile")
	}
	i := bytes.Index(der, []byte("Meridian"))
	der[i] ^= 1
	if out, err := verify(der); err == nil {
		t.Errorf("a changed profile verifies: %s", out)
	}
}
