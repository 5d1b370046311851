package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"doorward/internal/certify"
	"doorward/internal/directory"
	"doorward/internal/pki"
	"doorward/internal/secret"
	"doorward/internal/sqlstore"
)

// Row 10 asks what an issuance costs from the request to the stored certificate. The doors that lead to one ask for a session,
// a request and a second person, or for a certificate, so it is measured behind a door that asks for nothing, in a process of
// its own: `bench -issuer DIR` has a database, an authority and two addresses.
//
//	POST /issue           a certificate for the key in a PKCS #10 request
//	POST /renew?device=N  the same, as the successor of what the device had
const issuerRealm = "shop"

// issuer is that server.
type issuer struct {
	certs *certify.Service
	mu    sync.Mutex
	last  map[string]pki.Certificate // by the device of a renewal
}

// serveIssuer listens on a free loopback port and writes it to dir/address once it answers.
func serveIssuer(dir string) error {
	ctx := context.Background()
	ring, err := secret.NewRing()
	if err != nil {
		return err
	}
	store, err := sqlstore.Open(ctx, "sqlite:"+filepath.Join(dir, "doorward.db"), ring, sqlstore.Options{Clock: time.Now})
	if err != nil {
		return err
	}
	defer store.Close()
	i := &issuer{certs: authorities(store), last: map[string]pki.Certificate{}}
	if err := i.found(ctx); err != nil {
		return err
	}
	if err := certificates(dir); err != nil {
		return err
	}
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /issue", i.issue)
	mux.HandleFunc("POST /renew", i.issue)
	if err := os.WriteFile(filepath.Join(dir, "address.new"), []byte(listener.Addr().String()), 0o600); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(dir, "address.new"), filepath.Join(dir, "address")); err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	return server.Serve(tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}))
}

// authorities are the certificate authorities of the one realm.
func authorities(store *sqlstore.Store) *certify.Service {
	return &certify.Service{
		Store: sqlstore.For[certify.Tx](store), Clock: time.Now, Epoch: store.Epoch,
		Realm: func(id string) (directory.Realm, error) {
			return directory.Realm{ID: id, Name: "Bench", Operator: "Bench Ltd", Origin: siteURL}, nil
		},
	}
}

// found makes the root and the authority that signs.
func (i *issuer) found(ctx context.Context) error {
	key, _, err := pki.NewKey(pki.Root)
	if err != nil {
		return err
	}
	der, err := pki.MakeRoot(key, "Bench root", "Bench Ltd", time.Now())
	if err != nil {
		return err
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	_, err = i.certs.Found(ctx, issuerRealm, root, key)
	return err
}

func (i *issuer) issue(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	key, err := pki.ReadRequest(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	order := order(key)
	device := r.FormValue("device")
	if device != "" {
		i.mu.Lock()
		old := i.last[device]
		i.mu.Unlock()
		order.Device, order.Replaces = old.Device, old.ID
	}
	c, err := i.certs.Issue(r.Context(), order)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if device != "" {
		i.mu.Lock()
		i.last[device] = c
		i.mu.Unlock()
	}
	w.Write(c.DER)
}

// order is what somebody gets.
func order(key any) certify.Order {
	return certify.Order{
		Realm: issuerRealm, Person: "019aa000-0000-7000-8000-000000000001", Name: "Laptop", Key: key, Requester: "019aa000-0000-7000-8000-000000000002",
		Approver: "019aa000-0000-7000-8000-000000000003", Organization: "019aa000-0000-7000-8000-000000000004",
		By: certify.Actor{ID: "019aa000-0000-7000-8000-000000000003", Network: "192.0.2.0/24"},
	}
}
