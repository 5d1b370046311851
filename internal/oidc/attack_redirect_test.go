package oidc_test

import (
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"doorward/internal/directory"
	"doorward/internal/rig"
	"doorward/internal/token"
)

// answer is what came back, without following anything.
type answer struct {
	*http.Response
	body string
}

// raw sends one request as it is. A new network each time keeps budgets out of the way.
func (s *street) raw(method, path string, form url.Values, edit ...func(*http.Request)) answer {
	s.t.Helper()
	address, body := rig.Origin+path, ""
	if method == http.MethodGet {
		address += "?" + form.Encode()
	} else {
		body = form.Encode()
	}
	req, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if method != http.MethodGet {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, e := range edit {
		e(req)
	}
	return s.send(req)
}

func (s *street) send(req *http.Request) answer {
	s.t.Helper()
	s.network++
	c := s.Browser(fmt.Sprintf("10.%d.%d.%d", s.network>>16&255, s.network>>8&255, s.network&255))
	res, err := c.HTTP.Transport.RoundTrip(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{res, string(b)}
}

// corpus is what a client registered and what must never be taken for it; internal/token writes it.
func corpus(t *testing.T) (registered, wrong []string) {
	t.Helper()
	var all struct{ Registered, Wrong []string }
	b, err := os.ReadFile("../token/testdata/redirects.json")
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(all.Registered) < 8 || len(all.Wrong) < 900 {
		t.Fatalf("%d registered and %d wrong addresses prove nothing", len(all.Registered), len(all.Wrong))
	}
	return all.Registered, all.Wrong
}

var shownReference = regexp.MustCompile(`<code>([2-9A-Z]{4}-[2-9A-Z]{4})</code>`)

// reflects reports whether a page holds something of what was sent, in any spelling that a browser would read as text, an
// address or markup.
func reflects(page, sent string) bool {
	if len(sent) < 8 { // "/cb" stands in other places too
		return false
	}
	for _, s := range []string{sent, html.EscapeString(sent), url.QueryEscape(sent), url.QueryEscape(url.QueryEscape(sent)), url.PathEscape(sent), strings.ToLower(sent)} {
		if strings.Contains(page, s) {
			return true
		}
	}
	return false
}

// refused fails unless an answer is a page that leads nowhere, sets nothing, repeats nothing, says what to do and what is
// wrong, and can be found in the log.
func (s *street) refused(what, uri string, a answer) {
	s.t.Helper()
	if a.StatusCode != http.StatusBadRequest || a.Header.Get("Location") != "" || a.Header.Get("Refresh") != "" || len(a.Header.Values("Set-Cookie")) > 0 {
		s.t.Errorf("%s %q: %d, Location %q, cookies %v", what, uri, a.StatusCode, a.Header.Get("Location"), a.Header.Values("Set-Cookie"))
		return
	}
	if reflects(a.body, uri) {
		s.t.Errorf("%s %q: the page repeats it", what, uri)
	}
	why := "redirect_uri is not one that is registered"
	if strings.Contains(uri, "\x00") {
		why = "a parameter is malformed"
	}
	for _, want := range []string{"You did nothing wrong.", "Go back to the application", "tell the people who run the application", "invalid_request</code>", why} {
		if !strings.Contains(a.body, want) {
			s.t.Errorf("%s %q: the page does not say %q", what, uri, want)
		}
	}
	ref := shownReference.FindStringSubmatch(a.body)
	if ref == nil || !strings.Contains(s.Log.String()[s.logged:], ref[1]) {
		s.t.Errorf("%s %q: reference %v is not in the log", what, uri, ref)
	}
	s.logged = len(s.Log.String())
}

// shopkeeper is the client of the corpus.
func shopkeeper(registered []string) func(*directory.Realm) {
	return func(r *directory.Realm) {
		r.Relying = append(r.Relying, directory.RelyingParty{
			ID: "corpus", Name: "Corpus", Home: "https://shop.example.com", RedirectURIs: registered, PostLogoutURIs: registered, Auth: directory.AuthNone,
			Grants: []string{directory.GrantCode}, Scopes: []string{"openid"}, FirstParty: true,
		})
	}
}

// Nothing is ever sent to an address that is not the client's, whichever door it comes in by.
func TestSEC_O2_TheCorpusAtEveryEndpoint(t *testing.T) {
	registered, wrong := corpus(t)
	eachStreet(t, func(t *testing.T, s *street) {
		u, err := url.Parse(request("corpus", "x"))
		if err != nil {
			t.Fatal(err)
		}
		form := u.Query()
		for _, uri := range wrong {
			form.Set("redirect_uri", uri)
			s.refused("GET", uri, s.raw(http.MethodGet, "/oauth2/authorize", form))
			s.refused("POST", uri, s.raw(http.MethodPost, "/oauth2/authorize", form, func(r *http.Request) {
				r.Header.Set("Origin", "https://evil.example")
				r.Header.Set("Sec-Fetch-Site", "cross-site")
			}))
			// An error that would be told to the client otherwise goes nowhere either.
			worse := url.Values{"client_id": {"corpus"}, "redirect_uri": {uri}, "response_type": {"token"}, "state": {"s-1"}}
			s.refused("GET with more that is wrong", uri, s.raw(http.MethodGet, "/oauth2/authorize", worse))
			a := s.raw(http.MethodPost, "/oauth2/par", form)
			if a.StatusCode != http.StatusBadRequest || !strings.Contains(a.body, `"invalid_request"`) || reflects(a.body, uri) {
				t.Errorf("PAR %q: %d %s", uri, a.StatusCode, a.body)
			}
			s.refused("log-out", uri, s.raw(http.MethodGet, "/oauth2/logout", url.Values{"client_id": {"corpus"}, "post_logout_redirect_uri": {uri}, "state": {"s-1"}}))
			a = s.raw(http.MethodPost, "/oauth2/logout/confirm", url.Values{"client": {"corpus"}, "to": {uri}, "answer": {"yes"}}, sameOrigin)
			if to := a.Header.Get("Location"); to != "/signout/done" {
				t.Errorf("the form of log-out, %q: %d, Location %q", uri, a.StatusCode, to)
			}
		}
		// And what is registered is taken by each of them, or the corpus would prove nothing.
		for _, uri := range registered {
			form.Set("redirect_uri", uri)
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				if a := s.raw(method, "/oauth2/authorize", form); a.StatusCode != http.StatusSeeOther || !strings.HasPrefix(a.Header.Get("Location"), "/oauth2/authorize/") {
					t.Errorf("%s %q: %d %s", method, uri, a.StatusCode, a.Header.Get("Location"))
				}
			}
			if a := s.raw(http.MethodPost, "/oauth2/par", form); a.StatusCode != http.StatusCreated {
				t.Errorf("PAR %q: %d %s", uri, a.StatusCode, a.body)
			}
			if a := s.raw(http.MethodGet, "/oauth2/logout", url.Values{"client_id": {"corpus"}, "post_logout_redirect_uri": {uri}}); a.Header.Get("Location") != uri {
				t.Errorf("log-out %q: %d %s", uri, a.StatusCode, a.Header.Get("Location"))
			}
			if a := s.raw(http.MethodPost, "/oauth2/logout/confirm", url.Values{"client": {"corpus"}, "to": {uri}, "answer": {"yes"}}, sameOrigin); a.Header.Get("Location") != uri {
				t.Errorf("the form of log-out, %q: %d %s", uri, a.StatusCode, a.Header.Get("Location"))
			}
		}
	}, shopkeeper(registered))
}

// sameOrigin is what a browser sends with a form of our own page.
func sameOrigin(r *http.Request) {
	r.Header.Set("Origin", rig.Origin)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
}

// A request that was kept while an address was registered leads nowhere once it is not (SEC O-9).
func TestSEC_O2_AnAddressTakenBackIsTakenBack(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		b := s.SignIn(s.anna, "192.0.2.60")
		a := s.raw(http.MethodGet, "/oauth2/authorize", query(t, request("store", callback)))
		s.relying(func(rp *directory.RelyingParty) {
			if rp.ID == "store" {
				rp.RedirectURIs = []string{"https://store.example/new"}
			}
		})
		page := get(t, b, rig.Origin+a.Header.Get("Location"))
		if page.Status != http.StatusBadRequest || page.URL.Host != rig.Host {
			t.Errorf("%d at %s", page.Status, page.URL)
		}
		s.Clock.Advance(time.Second)
		if a := s.raw(http.MethodGet, "/oauth2/authorize", query(t, request("store", callback, "code_challenge", token.Challenge("x")))); a.StatusCode != http.StatusBadRequest {
			t.Errorf("%d", a.StatusCode)
		}
	})
}

// query is the query of an address.
func query(t *testing.T, address string) url.Values {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}
