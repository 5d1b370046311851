// An application that leaves signing in to Doorward. It listens in the clear on loopback, behind a proxy that speaks TLS.
package main

import (
	"context"
	"crypto/rand"
	"html/template"
	"log"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

type session struct{ Name, Email, subject, sid, idToken string }

type app struct {
	config   oauth2.Config
	provider *oidc.Provider
	verifier *oidc.IDTokenVerifier
	issuer   string
	base     string // https://orders.example.com
	endpoint string // where people are signed out

	mu       sync.Mutex
	sessions map[string]session // by cookie; yours stand where your sessions are, and end after some hours
}

var page = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><title>Orders</title><main>
{{with .}}<p>Hello {{.Name}}, <span id="email">{{.Email}}</span></p><form method="post" action="/signout"><button>Sign out</button></form>
{{else}}<p><a href="/signin">Sign in</a></p>{{end}}</main></html>`))

func main() {
	a := &app{issuer: os.Getenv("ISSUER"), base: os.Getenv("BASE_URL"), sessions: map[string]session{}}
	provider, err := oidc.NewProvider(context.Background(), a.issuer)
	if err != nil {
		log.Fatal(err)
	}
	var more struct {
		Endpoint string `json:"end_session_endpoint"`
	}
	if err := provider.Claims(&more); err != nil {
		log.Fatal(err)
	}
	a.provider, a.endpoint = provider, more.Endpoint
	a.config = oauth2.Config{
		ClientID: os.Getenv("CLIENT_ID"), ClientSecret: os.Getenv("CLIENT_SECRET"), Endpoint: provider.Endpoint(),
		RedirectURL: a.base + "/callback", Scopes: []string{"openid", "profile", "email"},
	}
	a.config.Endpoint.AuthStyle = oauth2.AuthStyleInHeader // client_secret_basic
	a.verifier = provider.Verifier(&oidc.Config{ClientID: a.config.ClientID, SupportedSigningAlgs: []string{oidc.ES256}})

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", a.home)
	mux.HandleFunc("GET /signin", a.signIn)
	mux.HandleFunc("GET /callback", a.callback)
	mux.HandleFunc("POST /signout", a.signOut)
	mux.HandleFunc("POST /backchannel-logout", a.backchannel)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), http.NewCrossOriginProtection().Handler(mux)))
}

func setCookie(w http.ResponseWriter, name, value string, age int) {
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: age, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

func (a *app) home(w http.ResponseWriter, r *http.Request) {
	var signedIn *session
	if c, err := r.Cookie("__Host-orders"); err == nil {
		a.mu.Lock()
		if s, ok := a.sessions[c.Value]; ok {
			signedIn = &s
		}
		a.mu.Unlock()
	}
	w.Header().Set("Cache-Control", "no-store")
	_ = page.Execute(w, signedIn)
}

// signIn keeps state, nonce and PKCE verifier with the browser that begins: an answer that another browser asked for is none.
func (a *app) signIn(w http.ResponseWriter, r *http.Request) {
	state, nonce, verifier := rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	setCookie(w, "__Host-signin", strings.Join([]string{state, nonce, verifier}, "."), 3600)
	http.Redirect(w, r, a.config.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)), http.StatusSeeOther)
}

func (a *app) callback(w http.ResponseWriter, r *http.Request) {
	var begun []string
	if c, err := r.Cookie("__Host-signin"); err == nil {
		begun = strings.Split(c.Value, ".")
	}
	setCookie(w, "__Host-signin", "", -1)
	if len(begun) != 3 || r.FormValue("state") != begun[0] || r.FormValue("iss") != a.issuer {
		http.Error(w, "This answer is not one to a sign-in that began here. Please begin again.", http.StatusBadRequest)
		return
	}
	if r.FormValue("error") != "" {
		http.Error(w, "You were not signed in: "+r.FormValue("error"), http.StatusForbidden)
		return
	}
	tokens, err := a.config.Exchange(r.Context(), r.FormValue("code"), oauth2.VerifierOption(begun[2]))
	if err != nil {
		log.Print(err)
		http.Error(w, "The sign-in could not be finished. Please begin again.", http.StatusBadGateway)
		return
	}
	raw, _ := tokens.Extra("id_token").(string)
	id, err := a.verifier.Verify(r.Context(), raw) // signature, issuer, audience, expiry
	if err != nil || id.Nonce != begun[1] {
		log.Print("ID token refused: ", err)
		http.Error(w, "The sign-in could not be finished. Please begin again.", http.StatusBadGateway)
		return
	}
	var claims struct {
		Name  string `json:"name"`
		Email string `json:"email"`
		SID   string `json:"sid"`
	}
	who, err := a.provider.UserInfo(r.Context(), oauth2.StaticTokenSource(tokens)) // name and address come from there
	if err != nil || who.Subject != id.Subject || id.Claims(&claims) != nil || who.Claims(&claims) != nil {
		log.Print("userinfo refused: ", err)
		http.Error(w, "The sign-in could not be finished. Please begin again.", http.StatusBadGateway)
		return
	}
	cookie := rand.Text()
	a.mu.Lock()
	a.sessions[cookie] = session{claims.Name, claims.Email, id.Subject, claims.SID, raw}
	a.mu.Unlock()
	setCookie(w, "__Host-orders", cookie, 0)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// signOut ends the session here, then at Doorward, which brings the browser back and tells the other applications.
func (a *app) signOut(w http.ResponseWriter, r *http.Request) {
	to := url.Values{"client_id": {a.config.ClientID}, "post_logout_redirect_uri": {a.base + "/"}}
	if c, err := r.Cookie("__Host-orders"); err == nil {
		a.mu.Lock()
		if s, ok := a.sessions[c.Value]; ok {
			to.Set("id_token_hint", s.idToken)
		}
		delete(a.sessions, c.Value)
		a.mu.Unlock()
	}
	setCookie(w, "__Host-orders", "", -1)
	http.Redirect(w, r, a.endpoint+"?"+to.Encode(), http.StatusSeeOther)
}

// backchannel is called by Doorward when a session ended elsewhere. VerifyLogout refuses everything that is no log-out token.
func (a *app) backchannel(w http.ResponseWriter, r *http.Request) {
	token, err := a.verifier.VerifyLogout(r.Context(), r.PostFormValue("logout_token"))
	if err != nil {
		http.Error(w, "not a log-out token", http.StatusBadRequest)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for cookie, s := range a.sessions {
		if s.sid == token.SessionID || token.SessionID == "" && s.subject == token.Subject {
			delete(a.sessions, cookie)
		}
	}
}
