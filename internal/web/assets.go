package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strings"
	"sync"
)

//go:generate go run ./assets/build

//go:embed assets/dist
var dist embed.FS

// immutable is for addresses that hold the hash of what they lead to.
const immutable = "public, max-age=31536000, immutable"

// file is one asset with its address and its compressed form.
type file struct {
	body, packed []byte
	kind         string
	address      string
}

var kinds = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

// assets by plain name ("site.css"), and by the last part of their address ("site-1a2b3c4d.css").
var assets = sync.OnceValue(func() map[string]*file {
	all := map[string]*file{}
	entries, err := dist.ReadDir("assets/dist")
	if err != nil { // embedded
		panic(err)
	}
	for _, e := range entries {
		ext := path.Ext(e.Name())
		body, err := dist.ReadFile("assets/dist/" + e.Name())
		if err != nil || kinds[ext] == "" {
			continue
		}
		sum := sha256.Sum256(body)
		hashed := strings.TrimSuffix(e.Name(), ext) + "-" + hex.EncodeToString(sum[:8]) + ext
		f := &file{body: body, packed: pack(body), kind: kinds[ext], address: "/assets/" + hashed}
		all[e.Name()], all[hashed] = f, f
	}
	return all
})

func pack(body []byte) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is valid
	_, _ = z.Write(body)                                  // into memory
	_ = z.Close()
	return b.Bytes()
}

// Asset is the address of an embedded file, with its hash. An unknown name gives an address that answers 404, which the
// tests see.
func (v *Visit) Asset(name string) string {
	if f := assets()[name]; f != nil {
		return f.address
	}
	return "/assets/" + name
}

func (s *Site) asset(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	f := assets()[name]
	if f == nil {
		return errNoPage
	}
	h := w.Header()
	if f.address == "/assets/"+name {
		h.Set("Cache-Control", immutable)
	}
	h.Set("Content-Type", f.kind)
	h.Set("Vary", "Accept-Encoding")
	body := f.body
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = f.packed
	}
	_, _ = w.Write(body) // the visitor has gone away
	return nil
}
