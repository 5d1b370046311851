package web

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"sync"
)

// Documents that everybody may read and that seldom change: rendered once, served as bytes, with a tag by which a client
// that has them already is told so (RFC 9110 8.8.3).

// Document is rendered bytes.
type Document struct {
	of   any // what it was rendered from: another one makes another document
	kind string
	body []byte
	tag  string
}

func newDocument(of any, kind string, body []byte) *Document {
	sum := sha256.Sum256(body)
	return &Document{of, kind, body, `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
}

// Documents are kept by realm. A realm that changes is another value, and so is a key set that changes. The zero value is
// ready, and safe for concurrent use.
type Documents struct{ all sync.Map }

// Of returns the document of a realm under a name, made anew where it was made from something else.
func (d *Documents) Of(name, kind, realm string, from any, render func() ([]byte, error)) (*Document, error) {
	key := name + " " + realm
	if have, ok := d.all.Load(key); ok && have.(*Document).of == from {
		return have.(*Document), nil
	}
	body, err := render()
	if err != nil {
		return nil, err
	}
	doc := newDocument(from, kind, body)
	d.all.Store(key, doc)
	return doc, nil
}

// Serve answers with a document, or with 304 to a client that names its tag.
func (d *Document) Serve(w http.ResponseWriter, r *http.Request) {
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

// WriteFile answers with a file to be kept, which no cache may have.
func WriteFile(w http.ResponseWriter, name, kind string, file []byte) error {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(file) // the visitor has gone away
	return nil
}

// WriteText answers with a plain text to be kept as a file.
func WriteText(w http.ResponseWriter, name, text string) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	_, _ = io.WriteString(w, text) // the visitor has gone away
	return nil
}
