package web

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"net/http"
	"strings"

	"doorward/internal/web/catalog"
)

// flash is what the cookie carries to the next page: a key of the catalogue and its arguments, under a keyed hash, so
// that nobody can make our pages say something.
type flash struct {
	Realm string
	Tone  string
	Key   string
	Args  []string
}

// FlashNote is a flash in words.
type FlashNote struct {
	Tone string
	Text template.HTML
}

// flashSeconds is how long a flash waits for its page.
const flashSeconds = 60

// Flash says on the next page what has happened: tone ok, warn or "" (information), a key, and pairs of arguments. Never
// hand it a secret. Call it before Redirect.
func Flash(w http.ResponseWriter, r *http.Request, tone, key string, args ...any) {
	v := From(r)
	f := flash{Realm: v.Realm.ID, Tone: tone, Key: key}
	for _, a := range args {
		f.Args = append(f.Args, v.write(a))
	}
	b, err := json.Marshal(f)
	if err != nil { // four strings
		return
	}
	text := base64.RawURLEncoding.EncodeToString(b)
	if len(text) > 2048 {
		return
	}
	SetCookie(w, "flash", text+"."+v.site.mac(text), flashSeconds)
}

func (s *Site) mac(text string) string {
	return base64.RawURLEncoding.EncodeToString(s.Keys.Hash("web-flash", text))
}

// takeFlash reads the flash and removes its cookie.
func (s *Site) takeFlash(w http.ResponseWriter, r *http.Request) *flash {
	f := &flash{}
	value := Cookie(r, "flash")
	if value == "" {
		return f
	}
	SetCookie(w, "flash", "", -1)
	text, mac, _ := strings.Cut(value, ".")
	if subtle.ConstantTimeCompare([]byte(mac), []byte(s.mac(text))) != 1 {
		return f
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || json.Unmarshal(b, f) != nil || f.Realm != From(r).Realm.ID || !catalog.Has("en", f.Key) {
		return &flash{}
	}
	return f
}
