// Package est serves Enrollment over Secure Transport (RFC 7030, with RFC 8951) to managed devices, at the hosts that ask for a
// certificate: they speak http/1.1, resume nothing, and what a device shows there is its own.
//
// Rules:
//   - The door translates. Who gets what is decided in package enrolment.
//   - Answers are base64 in what the RFC says, errors are one line of plain text that says what to do (RFC 7030 4.2.3).
//   - Bodies are bounded before they are read.
package est

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"strconv"

	"doorward/internal/enrolment"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/pki"
	"doorward/internal/web"
)

// Enrolments are what the door asks.
type Enrolments interface {
	Authorities(ctx context.Context, realm string) ([][]byte, error)
	Enrol(ctx context.Context, c login.Caller, word string, ask enrolment.Ask) (pki.Certificate, error)
	Reenrol(ctx context.Context, c login.Caller, leaf *x509.Certificate, ask enrolment.Ask) (pki.Certificate, error)
}

// Door serves the devices of each realm.
type Door struct {
	Site       *web.Site
	Enrolments Enrolments
}

// Mount adds the routes (RFC 7030 3.2.2) to those of the hosts that ask for a certificate.
func (d *Door) Mount(mux *http.ServeMux) {
	d.Site.Handle(mux, "GET /.well-known/est/cacerts", d.said(d.authorities))
	d.Site.Handle(mux, "GET /.well-known/est/csrattrs", d.said(d.attributes))
	d.Site.HandleBig(mux, "POST /.well-known/est/simpleenroll", pki.RequestMax, d.said(d.enrol))
	d.Site.HandleBig(mux, "POST /.well-known/est/simplereenroll", pki.RequestMax, d.said(d.reenrol))
}

// said answers with the words of an error. What is ours stays the site's, which logs it.
func (d *Door) said(h web.Handler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		err := h(w, r)
		f := fault.As(err)
		if f == nil {
			return err
		}
		status := statusOf(f)
		if status == http.StatusUnauthorized { // RFC 9110 15.5.2
			w.Header().Set("WWW-Authenticate", `Basic realm="est", charset="UTF-8"`)
		}
		if f.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(f.RetryAfter.Seconds()))))
		}
		http.Error(w, web.From(r).Say(err), status)
		return nil
	}
}

// Faults of the door.
var (
	errType    = fault.New(fault.Invalid, "csr-type")
	errBig     = fault.New(fault.Invalid, "csr-size", "most", pki.RequestMax)
	errNothing = fault.New(fault.Rejected, "enrolment-nothing")
)

// statusOf maps faults as RFC 7030 4.2.3 and RFC 9110 have them. 202 is for a device that has to ask again.
func statusOf(f *fault.Error) int {
	switch f.Code {
	case "enrolment-busy":
		return http.StatusAccepted
	case errType.Code:
		return http.StatusUnsupportedMediaType
	case errBig.Code:
		return http.StatusRequestEntityTooLarge
	case errNothing.Code, "enrolment-unknown":
		return http.StatusUnauthorized
	}
	switch f.Kind {
	case fault.Invalid:
		return http.StatusBadRequest
	case fault.Rejected, fault.Expired:
		return http.StatusForbidden
	case fault.Exists:
		return http.StatusConflict
	}
	return web.StatusOf(f)
}

// authorities serves the certificates of the realm's authorities (RFC 7030 4.1).
func (d *Door) authorities(w http.ResponseWriter, r *http.Request) error {
	all, err := d.Enrolments.Authorities(r.Context(), web.From(r).Realm.ID)
	if err != nil {
		return err
	}
	return certificates(w, "application/pkcs7-mime", all...)
}

// attributes serves what a request may say (RFC 7030 4.5).
func (d *Door) attributes(w http.ResponseWriter, _ *http.Request) error {
	der, err := pki.Attributes()
	if err != nil {
		return err
	}
	return send(w, "application/csrattrs", der)
}

// enrol issues a device's first certificate (RFC 7030 4.2.1). Of what it shows (RFC 7617) the password alone counts.
func (d *Door) enrol(w http.ResponseWriter, r *http.Request) error {
	_, word, ok := r.BasicAuth()
	if !ok || word == "" {
		return errNothing
	}
	ask, err := read(r)
	if err != nil {
		return err
	}
	made, err := d.Enrolments.Enrol(r.Context(), caller(r), word, ask)
	if err != nil {
		return err
	}
	return certificates(w, certsOnly, made.DER)
}

// reenrol issues the next one to whoever shows the one before on this connection (RFC 7030 4.2.2).
func (d *Door) reenrol(w http.ResponseWriter, r *http.Request) error {
	var leaf *x509.Certificate
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		leaf = r.TLS.PeerCertificates[0]
	}
	ask, err := read(r)
	if err != nil {
		return err
	}
	made, err := d.Enrolments.Reenrol(r.Context(), caller(r), leaf, ask)
	if err != nil {
		return err
	}
	return certificates(w, certsOnly, made.DER)
}

func caller(r *http.Request) login.Caller {
	v := web.From(r)
	return login.Caller{Realm: v.Realm.ID, Network: v.Network, Agent: v.Browser}
}

// read takes the request in the body as it is (RFC 7030 4.2.1), and what of the connection it may be tied to.
func read(r *http.Request) (ask enrolment.Ask, err error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/pkcs10" {
		return ask, errType
	}
	ask.Request, err = io.ReadAll(r.Body)
	if big := (*http.MaxBytesError)(nil); errors.As(err, &big) {
		return ask, errBig
	}
	ask.Channel = channel(r)
	return ask, err
}

// channel are the bindings of the connection, as a request has them: tls-unique (RFC 5929 3) up to TLS 1.2, tls-exporter
// (RFC 9266) from 1.3 on. Behind a proxy there are none.
func channel(r *http.Request) (all []string) {
	if r.TLS == nil || !r.TLS.HandshakeComplete {
		return nil
	}
	if unique := r.TLS.TLSUnique; len(unique) > 0 {
		all = append(all, base64.StdEncoding.EncodeToString(unique))
	}
	if r.TLS.Version >= tls.VersionTLS13 {
		if exported, err := r.TLS.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32); err == nil {
			all = append(all, base64.StdEncoding.EncodeToString(exported))
		}
	}
	return all
}

const certsOnly = "application/pkcs7-mime; smime-type=certs-only"

// certificates answers with a message that nobody signed (RFC 7030 4.1.3, 4.2.3).
func certificates(w http.ResponseWriter, kind string, ders ...[]byte) error {
	der, err := pki.CertsOnly(ders...)
	if err != nil {
		return err
	}
	return send(w, kind, der)
}

// send answers in base64, in lines that every decoder takes.
func send(w http.ResponseWriter, kind string, der []byte) error {
	text := base64.StdEncoding.EncodeToString(der)
	var lines []byte
	for len(text) > 0 {
		n := min(76, len(text))
		lines = append(append(lines, text[:n]...), '\n')
		text = text[n:]
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Transfer-Encoding", "base64") // older clients ask for it (RFC 8951 3.1)
	h.Set("Content-Length", strconv.Itoa(len(lines)))
	_, err := w.Write(lines)
	return err
}
