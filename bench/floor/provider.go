package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"strings"
	"time"
)

// provider is the least OpenID provider: it does what no provider can leave out, and nothing that makes one safe.
type provider struct {
	key      *ecdsa.PrivateKey
	db       *group
	document []byte // of a discovery document's size
	secret   [32]byte
	sessions map[[32]byte]string
	live     map[string]string // grants that live
}

// Client is the one client of the floor: it authenticates with HTTP Basic, ours does too.
const (
	clientID     = "bench"
	clientSecret = "a-secret-of-the-benchmark-that-guards-nothing"
)

func newProvider(db *group, sessions map[[32]byte]string) (*provider, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	document, err := json.Marshal(map[string]string{"issuer": "https://floor.localhost", "rest": strings.Repeat("x", 2500)})
	return &provider{
		key: key, db: db, document: document, secret: sha256.Sum256([]byte(clientSecret)), sessions: sessions, live: map[string]string{"grant": "person"},
	}, err
}

func (p *provider) mount(mux *http.ServeMux) {
	mux.HandleFunc("GET /discovery", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "public, max-age=300")
		w.Write(p.document)
	})
	mux.HandleFunc("POST /token", p.client(p.token))
	mux.HandleFunc("GET /code", p.code)
	mux.HandleFunc("POST /redeem", p.client(p.redeem))
	mux.HandleFunc("POST /refresh", p.client(p.refresh))
	mux.HandleFunc("POST /introspect", p.client(p.introspect))
	mux.HandleFunc("GET /userinfo", p.userinfo)
}

// client lets the client in, by the SHA-256 of its secret, with its form read.
func (p *provider) client(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, secret, ok := r.BasicAuth()
		sum := sha256.Sum256([]byte(secret))
		if !ok || id != clientID || subtle.ConstantTimeCompare(sum[:], p.secret[:]) != 1 || r.ParseForm() != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		h(w, r)
	}
}

type claims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience string   `json:"aud"`
	Expires  int64    `json:"exp"`
	Issued   int64    `json:"iat"`
	ID       string   `json:"jti"`
	Client   string   `json:"client_id"`
	Scope    string   `json:"scope"`
	Session  string   `json:"sid,omitempty"`
	Grant    string   `json:"grant_id,omitempty"`
	AuthTime int64    `json:"auth_time,omitempty"`
	AMR      []string `json:"amr,omitempty"`
}

type answer struct {
	Access  string `json:"access_token"`
	Type    string `json:"token_type"`
	Expires int    `json:"expires_in"`
	Refresh string `json:"refresh_token,omitempty"`
	ID      string `json:"id_token,omitempty"`
}

var head = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"RYcXbtMbYCYtRXVDAabOVG3xu1sLnpwePvjVLWQGOmM","typ":"at+jwt"}`)) + "."

// sign makes a JWT for somebody.
func (p *provider) sign(sub string) (string, error) {
	now := time.Now().Unix()
	body, err := json.Marshal(claims{
		Issuer: "https://floor.localhost", Subject: sub, Audience: "https://floor.localhost", Expires: now + 300, Issued: now, ID: rand.Text(), Client: clientID,
		Scope: "openid profile email organization", Session: "session", Grant: "grant", AuthTime: now, AMR: []string{"pwd", "otp", "mfa"},
	})
	if err != nil {
		return "", err
	}
	out := base64.RawURLEncoding.AppendEncode([]byte(head), body)
	sum := sha256.Sum256(out)
	r, s, err := ecdsa.Sign(rand.Reader, p.key, sum[:])
	if err != nil {
		return "", err
	}
	var sig [64]byte
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return string(base64.RawURLEncoding.AppendEncode(append(out, '.'), sig[:])), nil
}

// verify reads a JWT of its own.
func (p *provider) verify(raw string) (c claims, ok bool) {
	at := strings.LastIndexByte(raw, '.')
	if at < 0 {
		return c, false
	}
	sig, err := base64.RawURLEncoding.DecodeString(raw[at+1:])
	if err != nil || len(sig) != 64 {
		return c, false
	}
	sum := sha256.Sum256([]byte(raw[:at]))
	if !ecdsa.Verify(&p.key.PublicKey, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
		return c, false
	}
	_, body, _ := strings.Cut(raw[:at], ".")
	b, err := base64.RawURLEncoding.DecodeString(body)
	return c, err == nil && json.Unmarshal(b, &c) == nil && time.Now().Unix() < c.Expires
}

func write(w http.ResponseWriter, v any, err error) {
	b, wrong := json.Marshal(v)
	if err != nil || wrong != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(b)
}

// token is client_credentials: a signature, and one durable row.
func (p *provider) token(w http.ResponseWriter, _ *http.Request) {
	access, err := p.sign(clientID)
	if err == nil {
		err = p.db.exec(insertEvent, "a token for "+clientID)
	}
	write(w, answer{Access: access, Type: "Bearer", Expires: 300}, err)
}

// code is an authorization request of somebody who is signed in: a durable code.
func (p *provider) code(w http.ResponseWriter, r *http.Request) {
	c, err := r.Cookie("__Host-session")
	if err != nil || p.sessions[sha256.Sum256([]byte(c.Value))] == "" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	code := rand.Text()
	if err := p.db.exec(insertSecret, hashed(code)...); err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Location", "https://app.localhost/callback?code="+code)
	w.WriteHeader(http.StatusSeeOther)
}

// redeem uses up a code and gives two tokens, durably.
func (p *provider) redeem(w http.ResponseWriter, r *http.Request) {
	p.exchange(w, r.PostForm.Get("code"))
}

// refresh uses up a refresh token and gives new ones, durably.
func (p *provider) refresh(w http.ResponseWriter, r *http.Request) {
	p.exchange(w, r.PostForm.Get("refresh_token"))
}

func (p *provider) exchange(w http.ResponseWriter, old string) {
	out := answer{Type: "Bearer", Expires: 300, Refresh: rand.Text()}
	var err error
	if out.Access, err = p.sign("person"); err == nil {
		out.ID, err = p.sign("person")
	}
	if err == nil {
		err = p.db.do(func(g *group, tx *sql.Tx) error {
			var n int
			if err := tx.Stmt(g.ready[useSecret]).QueryRow(hashed(old)...).Scan(&n); err != nil {
				return err
			}
			_, err := tx.Stmt(g.ready[insertSecret]).Exec(hashed(out.Refresh)...)
			return err
		})
	}
	write(w, out, err)
}

// introspect verifies a token and looks whether its grant lives.
func (p *provider) introspect(w http.ResponseWriter, r *http.Request) {
	c, ok := p.verify(r.PostForm.Get("token"))
	write(w, struct {
		Active bool `json:"active"`
		claims
	}{ok && p.live[c.Grant] != "", c}, nil)
}

func (p *provider) userinfo(w http.ResponseWriter, r *http.Request) {
	raw, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	c, ok := p.verify(raw)
	if !ok || p.live[c.Grant] == "" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	write(w, map[string]any{
		"sub": c.Subject, "name": "Person", "email": "person@bench.example", "email_verified": true, "locale": "en", "org_name": "Bench Ltd", "roles": []string{"member"},
	}, nil)
}

func hashed(secret string) []any {
	sum := sha256.Sum256([]byte(secret))
	return []any{sum[:]}
}
