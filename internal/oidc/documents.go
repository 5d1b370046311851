package oidc

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
)

// Documents that everybody may read and that seldom change: rendered once, served as bytes, with a tag by which a client
// that has them already is told so (RFC 9110 8.8.3).

// document is rendered bytes.
type document struct {
	of   any // what it was rendered from: another one makes another document
	kind string
	body []byte
	tag  string
}

func newDocument(of any, kind string, body []byte) *document {
	sum := sha256.Sum256(body)
	return &document{of, kind, body, `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
}

// documents are kept by realm. A realm that changes is another value, and so is a key set that changes.
type documents struct{ all sync.Map }

// of returns the document of a realm under a name, made anew where it was made from something else.
func (d *documents) of(name, kind, realm string, from any, render func() ([]byte, error)) (*document, error) {
	key := name + " " + realm
	if have, ok := d.all.Load(key); ok && have.(*document).of == from {
		return have.(*document), nil
	}
	body, err := render()
	if err != nil {
		return nil, err
	}
	doc := newDocument(from, kind, body)
	d.all.Store(key, doc)
	return doc, nil
}

// serve answers with a document, or with 304 to a client that names its tag.
func (d *document) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h["Access-Control-Allow-Origin"] = anybody // public, and read by applications in browsers
	h["Cache-Control"] = fiveMinutes
	h["Etag"] = []string{d.tag}
	for _, have := range r.Header.Values("If-None-Match") {
		for one := range strings.SplitSeq(have, ",") {
			if one = strings.TrimPrefix(strings.TrimSpace(one), "W/"); one == d.tag || one == "*" {
				w.WriteHeader(http.StatusNotModified)
				return
			}
		}
	}
	h["Content-Type"] = []string{d.kind}
	_, _ = w.Write(d.body) // the client has gone away
}

var (
	anybody     = []string{"*"}
	fiveMinutes = []string{"public, max-age=300"}
)
