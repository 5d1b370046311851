package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"io"
	"math/big"
	"net/http"
	"time"

	"golang.org/x/crypto/ocsp"
)

// authority is the least certificate authority: it signs what it is asked to, and says of everything that it is good.
type authority struct {
	db     *group
	key    *ecdsa.PrivateKey
	cert   *x509.Certificate
	list   []byte // of a CRL's size
	answer []byte // an OCSP answer that was signed ahead
}

func newAuthority(db *group) (*authority, error) {
	a := &authority{db: db, list: make([]byte, 600)}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "floor devices"}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(6, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	a.answer, err = a.sign(big.NewInt(2))
	return a, err
}

func (a *authority) sign(serial *big.Int) ([]byte, error) {
	now := time.Now()
	return ocsp.CreateResponse(a.cert, a.cert, ocsp.Response{Status: ocsp.Good, SerialNumber: serial, ThisUpdate: now, NextUpdate: now.Add(8 * time.Hour)}, a.key)
}

func (a *authority) mount(mux *http.ServeMux) {
	mux.HandleFunc("POST /issue", a.issue)
	mux.HandleFunc("GET /crl", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/pkix-crl")
		w.Write(a.list)
	})
	mux.HandleFunc("POST /ocsp", func(w http.ResponseWriter, r *http.Request) { a.status(w, r, false) })
	mux.HandleFunc("POST /ocsp/live", func(w http.ResponseWriter, r *http.Request) { a.status(w, r, true) })
	mux.HandleFunc("GET /shown", func(w http.ResponseWriter, r *http.Request) {
		revoked := map[[32]byte]bool{}
		if len(r.TLS.PeerCertificates) == 0 || revoked[sha256.Sum256(r.TLS.PeerCertificates[0].Raw)] {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

// issue checks a request's own signature, signs a certificate for its key, and keeps it durably.
func (a *authority) issue(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	request, err := x509.ParseCertificateRequest(body)
	if err != nil || request.CheckSignature() != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	var serial [16]byte
	rand.Read(serial[:])
	now := time.Now()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial[:]), Subject: pkix.Name{CommonName: "device"}, NotBefore: now, NotAfter: now.AddDate(2, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
	}, a.cert, request.PublicKey, a.key)
	if err == nil {
		err = a.db.exec(insertEvent, hex.EncodeToString(der))
	}
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Write(der)
}

// status answers an OCSP request, with what was signed ahead or live.
func (a *authority) status(w http.ResponseWriter, r *http.Request, live bool) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	request, err := ocsp.ParseRequest(body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	answer := a.answer
	if live {
		if answer, err = a.sign(request.SerialNumber); err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
	}
	w.Header().Set("Content-Type", "application/ocsp-response")
	w.Write(answer)
}
