// Command floor is the least Go program that does only the unavoidable work of a door: what any server in this language
// pays for a session check, a password hash, a signature and a durable row. Benchmarks compare the product with it in the
// same run on the same machine, because an absolute time proves nothing on a machine that others use too.
//
//	GET  /session   cookie -> SHA-256 -> map -> 204, or 401
//	POST /hash      one Argon2id hash with the product's default parameters, bounded to the number of cores
//	GET  /sign      one ES256 signature
//	POST /event     one durable row: SQLite, synchronous=FULL, group commit
//	GET  /discovery bytes that are there already
//	POST /token     client_credentials: SHA-256 of a secret, an ES256 signature, a durable row
//	GET  /code      a live session's authorization code: cookie -> map, a durable row
//	POST /redeem    a code for tokens: used up and a refresh token added in one commit, two ES256 signatures
//	POST /refresh   the same for a refresh token
//	POST /issue     a certificate request checked, a certificate signed, a durable row
//	GET  /crl, POST /ocsp, POST /ocsp/live   bytes that are there; an answer signed ahead; an answer signed now
//	GET  /shown     at shown.localhost, where a handshake asks for a certificate: SHA-256 of it -> map
//	POST /introspect, GET /userinfo   an ES256 verification and a look at a map
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/crypto/argon2"
)

func main() {
	dir := flag.String("dir", "", "folder for the certificate (ca.pem), the database and the address (address)")
	flag.Parse()
	if err := serve(*dir); err != nil {
		log.Fatal(err)
	}
}

// serve listens on a free loopback port and writes it to dir/address once it answers.
func serve(dir string) error {
	cert, err := certificate(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return err
	}
	db, err := openGroup(filepath.Join(dir, "floor.db"))
	if err != nil {
		return err
	}
	handler, err := routes(db)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	address := listener.Addr().String()
	if err := os.WriteFile(filepath.Join(dir, "address.new"), []byte(address), 0o600); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(dir, "address.new"), filepath.Join(dir, "address")); err != nil {
		return err
	}
	quiet := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
	asks := quiet.Clone()
	asks.ClientAuth, asks.SessionTicketsDisabled = tls.RequireAnyClientCert, true
	quiet.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if hello.ServerName == "shown.localhost" {
			return asks, nil
		}
		return nil, nil
	}
	return server.Serve(tls.NewListener(listener, quiet))
}

func routes(db *group) (http.Handler, error) {
	// A thousand sessions, whose secrets are the numbers 0 to 999 as 43 characters: the client makes the same.
	sessions := make(map[[32]byte]string, 1000)
	for i := range 1000 {
		sessions[sha256.Sum256(fmt.Appendf(nil, "%043d", i))] = "person"
	}
	provider, err := newProvider(db, sessions)
	if err != nil {
		return nil, err
	}
	key := provider.key
	hashing := make(chan struct{}, runtime.GOMAXPROCS(0))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /session", func(w http.ResponseWriter, r *http.Request) {
		c, err := r.Cookie("__Host-session")
		if err != nil || sessions[sha256.Sum256([]byte(c.Value))] == "" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /hash", func(w http.ResponseWriter, r *http.Request) {
		password, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		hashing <- struct{}{}
		sum := argon2.IDKey(password, []byte("0123456789abcdef"), 2, 19456, 1, 32)
		<-hashing
		io.WriteString(w, base64.RawStdEncoding.EncodeToString(sum))
	})
	mux.HandleFunc("GET /sign", func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.Sum256([]byte(r.URL.RawQuery))
		sig, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Write(sig)
	})
	mux.HandleFunc("POST /event", func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err == nil {
			err = db.exec(insertEvent, string(text))
		}
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	provider.mount(mux)
	authority, err := newAuthority(db)
	if err != nil {
		return nil, err
	}
	authority.mount(mux)
	return mux, nil
}

// certificate makes a server certificate for loopback and writes it as the CA to trust.
func certificate(path string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "floor"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		DNSNames: []string{"floor.localhost", "shown.localhost", "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	file := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, os.WriteFile(path, file, 0o600)
}
