// Command floor is the least Go program that does only the unavoidable work of a door: what any server in this language
// pays for a session check, a password hash, a signature and a durable row. Benchmarks compare the product with it in the
// same run on the same machine, because an absolute time proves nothing on a machine that others use too.
//
//	GET  /session   cookie -> SHA-256 -> map -> 204, or 401
//	POST /hash      one Argon2id hash with the product's default parameters, bounded to the number of cores
//	GET  /sign      one ES256 signature
//	POST /event     one durable row: SQLite, synchronous=FULL, group commit
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
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
	_ "modernc.org/sqlite"
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
	events, err := openEvents(filepath.Join(dir, "floor.db"))
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: routes(events), ReadHeaderTimeout: 10 * time.Second}
	address := listener.Addr().String()
	if err := os.WriteFile(filepath.Join(dir, "address.new"), []byte(address), 0o600); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(dir, "address.new"), filepath.Join(dir, "address")); err != nil {
		return err
	}
	return server.Serve(tls.NewListener(listener, &tls.Config{
		Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12,
	}))
}

func routes(events *events) http.Handler {
	// A thousand sessions, whose secrets are the numbers 0 to 999 as 43 characters: the client makes the same.
	sessions := make(map[[32]byte]string, 1000)
	for i := range 1000 {
		sessions[sha256.Sum256(fmt.Appendf(nil, "%043d", i))] = "person"
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
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
			err = events.add(string(text))
		}
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

// events is the least group commit: whoever waits while a transaction is written shares the next one.
type events struct {
	db    *sql.DB
	queue chan event
}

type event struct {
	text string
	done chan error
}

func openEvents(path string) (*events, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(wal)&_pragma=synchronous(full)&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("CREATE TABLE IF NOT EXISTS event (id INTEGER PRIMARY KEY, text TEXT NOT NULL)"); err != nil {
		return nil, err
	}
	e := &events{db, make(chan event, 256)}
	go e.write()
	return e, nil
}

func (e *events) add(text string) error {
	ev := event{text, make(chan error, 1)}
	e.queue <- ev
	return <-ev.done
}

func (e *events) write() {
	for first := range e.queue {
		batch := []event{first}
		for len(batch) < 256 && len(e.queue) > 0 {
			batch = append(batch, <-e.queue)
		}
		err := e.commit(batch)
		for _, ev := range batch {
			ev.done <- err
		}
	}
}

func (e *events) commit(batch []event) error {
	tx, err := e.db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, ev := range batch {
		if _, err := tx.Exec("INSERT INTO event (text) VALUES ($1)", ev.text); err != nil {
			return err
		}
	}
	return tx.Commit()
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
		DNSNames: []string{"floor.localhost", "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	file := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, os.WriteFile(path, file, 0o600)
}
