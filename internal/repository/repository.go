// Package repository serves what certificate authorities publish (RFC 5280, RFC 6960): their certificates, CRLs, and answers
// about single certificates.
//
// Rules:
//   - Everybody may ask, browsers and programs, without a session: nothing here says whose a certificate is.
//   - What is signed carries its own time. It may be kept by whoever stands between, but never beyond that.
//   - Answers are small and made ahead, so that asking costs us less than it costs whoever asks; requests are bounded
//     before they are read.
package repository

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"doorward/internal/fault"
	"doorward/internal/pki"
	"doorward/internal/web"
)

// Authorities are what the door asks.
type Authorities interface {
	// Certificate is the certificate of an authority as DER; id empty is the one that signs.
	Certificate(ctx context.Context, realm, id string) ([]byte, error)
	// CRL is the newest CRL of a part; authority empty is the one that signs.
	CRL(ctx context.Context, realm, authority string, part int) (pki.CRL, error)
	// Answer answers an OCSP request, with when the answer runs out; zero for a refusal.
	Answer(ctx context.Context, realm string, request []byte) ([]byte, time.Time, error)
}

// Door serves the repository of each realm.
type Door struct {
	Site        *web.Site
	Authorities Authorities
	Clock       func() time.Time
}

// kept is for how long what is published may be kept by others: a revocation should not wait for the whole life of a CRL.
const kept = 5 * time.Minute

// Mount adds the routes.
func (d *Door) Mount(mux *http.ServeMux) {
	d.Site.Handle(mux, "GET /pki/ca.crt", d.certificate)
	d.Site.Handle(mux, "GET /pki/ca/{authority}", d.certificate)
	d.Site.Handle(mux, "GET /pki/crl", d.crl)
	d.Site.Handle(mux, "GET /pki/crl/{authority}/{part}", d.crl)
	d.Site.Handle(mux, "GET /pki/ocsp/{query...}", d.get)
	d.Site.HandleBig(mux, "POST /pki/ocsp", pki.QueryMax, d.post)
}

// send answers with something signed that holds until a time.
func (d *Door) send(w http.ResponseWriter, kind, name string, content []byte, until time.Time) error {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(content)))
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	if name != "" {
		h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	}
	if age := min(kept, until.Sub(d.Clock())); !until.IsZero() && age > 0 {
		h.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(age.Seconds())))
	}
	_, err := w.Write(content)
	return err
}

// certificate serves the certificate of an authority (RFC 5280 4.2.2.1, RFC 2585 4).
func (d *Door) certificate(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("authority")
	if id != "" {
		var ok bool
		if id, ok = strings.CutSuffix(id, ".crt"); !ok || id == "" {
			return gone
		}
	}
	der, err := d.Authorities.Certificate(r.Context(), web.From(r).Realm.ID, id)
	if err != nil {
		return absent(err)
	}
	return d.send(w, "application/pkix-cert", "ca.crt", der, d.Clock().Add(kept))
}

// crl serves a CRL (RFC 2585 4). One that has run out is not served: whoever keeps to it would be misled the longer.
func (d *Door) crl(w http.ResponseWriter, r *http.Request) error {
	part := 0
	if text := r.PathValue("part"); text != "" {
		var err error
		if part, err = strconv.Atoi(text); err != nil || part < 0 || strconv.Itoa(part) != text {
			return gone
		}
	}
	l, err := d.Authorities.CRL(r.Context(), web.From(r).Realm.ID, r.PathValue("authority"), part)
	if err != nil {
		return absent(err)
	}
	if !d.Clock().Before(l.NextUpdate) {
		return gone
	}
	return d.send(w, "application/pkix-crl", "", l.DER, l.NextUpdate)
}

var gone = fault.New(fault.NotFound, "no-page")

// absent is what is not there, or not yet.
func absent(err error) error {
	if fault.Of(err, fault.NotFound) || fault.Of(err, fault.Unavailable) && fault.As(err).Code == "authority-none" {
		return gone
	}
	return err
}

// get answers a request in the path, as base64 (RFC 6960 A.1).
func (d *Door) get(w http.ResponseWriter, r *http.Request) error {
	text := r.PathValue("query")
	if len(text) > base64.StdEncoding.EncodedLen(pki.QueryMax) {
		return d.send(w, answerKind, "", pki.AnswerMalformed, time.Time{})
	}
	request, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return d.send(w, answerKind, "", pki.AnswerMalformed, time.Time{})
	}
	return d.answer(w, r, request)
}

// post answers a request in the body.
func (d *Door) post(w http.ResponseWriter, r *http.Request) error {
	request, err := io.ReadAll(r.Body)
	if big := (*http.MaxBytesError)(nil); errors.As(err, &big) {
		return d.send(w, answerKind, "", pki.AnswerMalformed, time.Time{})
	}
	if err != nil {
		return err
	}
	return d.answer(w, r, request)
}

const answerKind = "application/ocsp-response"

func (d *Door) answer(w http.ResponseWriter, r *http.Request, request []byte) error {
	answer, until, err := d.Authorities.Answer(r.Context(), web.From(r).Realm.ID, request)
	if err != nil {
		return err
	}
	return d.send(w, answerKind, "", answer, until)
}
