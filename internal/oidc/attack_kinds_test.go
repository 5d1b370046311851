package oidc_test

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"doorward/internal/directory"
	"doorward/internal/rig"
	"doorward/internal/testdb"
	"doorward/internal/token"
)

// slot is one place that takes a secret: which kinds belong there, how one is handed in, and whether it was taken.
type slot struct {
	path, name string
	takes      []string
	try        func(secret string) answer
	taken      func(answer) bool
}

// bare are addresses that take no secret, and the one that takes only what the page before it showed.
var bare = []string{
	"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/oauth2/jwks",
	"/forward-auth/start", "/forward-auth/again", // where to, on which host: checked against the realm
	"/oauth2/device/{outcome}", // a page that says what became of it
	"/oauth2/logout/confirm",   // a form of our own page: where to go is checked against the client again
}

// innocent are names in paths that are no secrets: whoever knows one gets nothing by it without a session.
var innocent = []string{"purpose", "platform", "credential", "session", "person", "organization", "slug", "app", "store", "name", "set", "page", "sample", "client", "receipt", "call", "certificate", "enrolment"}

var addressInSource = regexp.MustCompile(`"(?:GET |POST )?(/(?:oauth2|\.well-known|forward-auth)[^" ]*)"`)

// paths are the addresses that the sources of the protocol doors name.
func paths(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, dir := range []string{".", "../forwardauth"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			src, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			for _, m := range addressInSource.FindAllStringSubmatch(string(src), -1) {
				if p := strings.TrimSuffix(m[1], "?"); !strings.HasSuffix(p, "/") && !slices.Contains(out, p) {
					out = append(out, p)
				}
			}
		}
	}
	return out
}

func (d *drawer) slots() []slot {
	leads := func(to string) func(answer) bool {
		return func(a answer) bool { return strings.HasPrefix(a.Header.Get("Location"), to) }
	}
	coded := func(a answer) bool { return strings.Contains(a.Header.Get("Location"), "code=") }
	fine := func(a answer) bool { return a.StatusCode == http.StatusOK || a.StatusCode == http.StatusCreated }
	says := func(what string) func(answer) bool {
		return func(a answer) bool { return a.StatusCode < 300 && strings.Contains(a.body, what) }
	}
	post := func(path string, form url.Values, name string, edit ...func(*http.Request)) func(string) answer {
		return func(x string) answer { return d.raw(http.MethodPost, path, plus(form, name, x), edit...) }
	}
	ask := func(form url.Values, name string) func(string) answer {
		return func(x string) answer { return d.raw(http.MethodGet, "/oauth2/authorize", plus(form, name, x), as(d.b)) }
	}
	header := func(method, path, name, scheme string, form url.Values, edit ...func(*http.Request)) func(string) answer {
		return func(x string) answer {
			return d.raw(method, path, form, append(edit, func(r *http.Request) {
				r.Header[name] = []string{scheme + strings.NewReplacer("\n", "", "\r", "").Replace(x)}
			})...)
		}
	}
	cookie := func(path func() string, name string, edit ...func(*http.Request)) func(string) answer {
		return func(x string) answer {
			return d.raw(http.MethodGet, path(), nil, append(edit, func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "__Host-" + name, Value: x}) })...)
		}
	}
	flow, open, verified := d.flow(), d.request(), get(d.t, d.b, request("store", callback)).URL.Query().Get("code")
	browser := func(r *http.Request) {
		r.AddCookie(&http.Cookie{Name: "__Host-browser", Value: jar(d.flowing, "browser")})
	}
	grant := func(kind string, more ...string) url.Values { return plus(url.Values{"grant_type": {kind}}, more...) }
	mine := grant("client_credentials", "scope", "orders")
	store, assertion := basic("store", storeSecret), []string{"client_assertion_type", token.AssertionType}
	asking := query(d.t, request("store", callback))
	object := url.Values{"client_id": {"warehouse"}}
	return []slot{
		{"/oauth2/authorize", "request_uri", []string{"request_uri"}, ask(url.Values{"client_id": {"store"}}, "request_uri"), leads("/oauth2/authorize/")},
		{"/oauth2/authorize", "the handle in request_uri", []string{"PAR handle"}, func(x string) answer {
			return ask(url.Values{"client_id": {"store"}}, "request_uri")("urn:ietf:params:oauth:request_uri:" + x)
		}, leads("/oauth2/authorize/")},
		{"/oauth2/authorize", "request", []string{"request object"}, ask(object, "request"), leads("/oauth2/authorize/")},
		{"/oauth2/authorize", "id_token_hint", []string{"ID token", "nothing"}, func(x string) answer {
			a := ask(plus(asking, "prompt", "none"), "id_token_hint")(x)
			if to := a.Header.Get("Location"); strings.HasPrefix(to, "/") {
				a = d.raw(http.MethodGet, to, nil, as(d.b))
			}
			return a
		}, coded},
		{"/oauth2/authorize/{request}", "the path", []string{"request id"}, func(x string) answer {
			return d.raw(http.MethodGet, "/oauth2/authorize/"+url.PathEscape(x), nil, as(d.b))
		}, coded},
		{"/oauth2/authorize/{request}", "shown", []string{"consent answer"}, post(d.question.URL.Path, url.Values{"answer": {"allow"}}, "shown", as(d.b), sameOrigin), coded},
		{"/oauth2/authorize/{request}", "cookie session", []string{"session cookie"}, cookie(func() string { return "/oauth2/authorize/" + open }, "session"), coded},
		{"/account", "cookie session", []string{"session cookie"}, cookie(func() string { return "/account" }, "session"), fine},
		{"/signin/{flow}", "cookie browser", []string{"browser cookie"}, cookie(func() string { return "/signin/" + flow }, "browser"), fine},
		{"/signin/{flow}", "the path", []string{"flow id"}, func(x string) answer {
			return d.raw(http.MethodGet, "/signin/"+url.PathEscape(x), nil, browser)
		}, func(a answer) bool {
			return a.StatusCode == http.StatusOK && strings.Contains(a.body, `name="password"`)
		}},
		{"/signin/{flow}/certificate/{ticket}", "the path", []string{"certificate ticket"}, func(x string) answer {
			return d.raw(http.MethodGet, "/signin/"+cmp.Or(d.led, flow)+"/certificate/"+url.PathEscape(x), nil, browser)
		}, func(a answer) bool {
			return a.StatusCode == http.StatusSeeOther && !strings.Contains(strings.Join(a.Header["Set-Cookie"], " "), "flash")
		}},
		{"/certificate-file/{link}", "the path", nil, func(x string) answer { // taken where it belongs in internal/rig, which has an authority
			return d.raw(http.MethodPost, "/certificate-file/"+url.PathEscape(x), url.Values{"confirm": {"yes"}}, sameOrigin)
		}, fine},
		{"/link/{purpose}/{token}", "set-up", []string{"invitation"}, func(x string) answer {
			return d.raw(http.MethodPost, "/link/set-up/"+url.PathEscape(x), nil, sameOrigin)
		}, leads("/signin/")},
		{"/link/{purpose}/{token}", "password", []string{"reset link"}, func(x string) answer {
			return d.raw(http.MethodPost, "/link/password/"+url.PathEscape(x), nil, sameOrigin)
		}, leads("/signin/")},
		{"/signin/code", "code", []string{"invitation", "reset link"}, post("/signin/code", nil, "code", sameOrigin), func(a answer) bool { return a.StatusCode == http.StatusSeeOther }},

		{"/oauth2/token", "code", []string{"code"}, post("/oauth2/token", grant("authorization_code", "redirect_uri", callback, "code_verifier", verifier), "code", store), says("access_token")},
		{"/oauth2/token", "code_verifier", []string{"code verifier"}, post("/oauth2/token", grant("authorization_code", "redirect_uri", callback, "code", verified), "code_verifier", store), says("access_token")},
		{"/oauth2/token", "refresh_token", []string{"refresh token"}, post("/oauth2/token", grant("refresh_token"), "refresh_token", store), says("access_token")},
		{"/oauth2/token", "the secret in the header", []string{"client secret"}, func(x string) answer {
			return d.raw(http.MethodPost, "/oauth2/token", mine, basic("store", x))
		}, says("access_token")},
		{"/oauth2/token", "client_assertion", []string{"client assertion"}, post("/oauth2/token", plus(mine, assertion...), "client_assertion"), says("access_token")},
		{"/oauth2/token", "the DPoP header", []string{"DPoP proof"}, header(http.MethodPost, "/oauth2/token", "Dpop", "", mine, store), says(`"DPoP"`)},
		{"/oauth2/par", "the secret in the header", []string{"client secret"}, func(x string) answer {
			return d.raw(http.MethodPost, "/oauth2/par", asking, basic("store", x))
		}, fine},
		{"/oauth2/par", "client_assertion", []string{"client assertion"}, post("/oauth2/par", plus(query(d.t, request("warehouse", "https://warehouse.example/cb")), assertion...), "client_assertion"), fine},
		{"/oauth2/par", "request", []string{"request object"}, func(x string) answer {
			d.n++
			return d.raw(http.MethodPost, "/oauth2/par", d.asserted(d.warehouse, fmt.Sprint("par ", d.n), plus(object, "request", x)))
		}, fine},
		{"/oauth2/par", "the DPoP header", nil, header(http.MethodPost, "/oauth2/par", "Dpop", "", asking, store), fine},
		{"/oauth2/token", "device_code", []string{"device code"}, post("/oauth2/token", grant(directory.GrantDevice), "device_code", basic("terminal", storeSecret)), says("access_token")},
		{"/oauth2/device_authorization", "the secret in the header", []string{"client secret"}, func(x string) answer {
			return d.raw(http.MethodPost, "/oauth2/device_authorization", url.Values{"scope": {"openid"}}, basic("terminal", x))
		}, fine},
		{"/oauth2/device", "user_code", []string{"user code"}, post("/oauth2/device", nil, "user_code", sameOrigin), leads("/oauth2/authorize/")},
		{"/forward-auth/start/{request}", "the path", []string{"guarded request"}, func(x string) answer {
			return d.raw(http.MethodGet, "/forward-auth/start/"+url.PathEscape(x), nil, as(d.b))
		}, func(a answer) bool { return strings.Contains(a.Header.Get("Location"), "ticket=") }},
		{"/.doorward/callback", "ticket", []string{"ticket"}, func(x string) answer {
			return d.told("/.doorward/callback?ticket="+url.QueryEscape(x), "__Host-doorward-start="+atWiki)
		}, func(a answer) bool {
			return strings.Contains(strings.Join(a.Header.Values("Set-Cookie"), " "), "__Host-doorward=")
		}},
		{"/forward-auth/check", "cookie doorward", []string{"guarded cookie"}, func(x string) answer { return d.told("/forward-auth/check", "__Host-doorward="+x) }, fine},
		{"/forward-auth/nginx", "cookie doorward", []string{"guarded cookie"}, func(x string) answer { return d.told("/forward-auth/nginx", "__Host-doorward="+x) }, fine},
		{"/oauth2/introspect", "token", []string{"access token", "client access token", "refresh token"}, post("/oauth2/introspect", nil, "token", store), says(`"active":true`)},
		{"/oauth2/introspect", "client_secret", []string{"client secret"}, post("/oauth2/introspect", url.Values{"client_id": {"complaints"}, "token": {"x"}}, "client_secret"), fine},
		{"/oauth2/introspect", "client_assertion", []string{"client assertion"}, post("/oauth2/introspect", plus(url.Values{"token": {"x"}}, assertion...), "client_assertion"), fine},
		{"/oauth2/revoke", "token", []string{"access token", "client access token", "refresh token"}, func(x string) answer {
			before := d.rows()
			a := d.raw(http.MethodPost, "/oauth2/revoke", url.Values{"token": {x}}, store)
			for key, text := range d.rows() {
				if strings.HasPrefix(key, "oidc_") && before[key] != text {
					a.body = "ended"
				}
			}
			return a
		}, says("ended")},
		{"/oauth2/revoke", "client_assertion", []string{"client assertion"}, post("/oauth2/revoke", plus(url.Values{"token": {"x"}}, assertion...), "client_assertion"), fine},
		{"/oauth2/userinfo", "a bearer", []string{"access token"}, header(http.MethodGet, "/oauth2/userinfo", "Authorization", "Bearer ", nil), fine},
		{"/oauth2/userinfo", "access_token", []string{"access token"}, post("/oauth2/userinfo", nil, "access_token"), fine},
		{"/oauth2/userinfo", "the scheme DPoP", nil, header(http.MethodGet, "/oauth2/userinfo", "Authorization", "DPoP ", nil), fine},
		{"/oauth2/logout", "id_token_hint", []string{"ID token"}, func(x string) answer {
			return d.raw(http.MethodGet, "/oauth2/logout", url.Values{"id_token_hint": {x}}, as(d.b))
		}, leads("/signout/done")},
	}
}

// Every kind of secret in every place that takes one: off the diagonal all are refused, and nothing is spent, ended or
// changed by it (SEC O-15; Keycloak CVE-2026-4282, Gitea CVE-2026-101023). On the diagonal all are taken, the very ones
// that were tried everywhere else first.
func TestSEC_O15_EveryKindInEveryPlace(t *testing.T) {
	signer, change := warehouse(t)
	testdb.EachAddress(t, func(t *testing.T, dsn string) {
		d := newDrawer(t, testdb.Open(t, dsn), dsn, signer, change)
		kinds, have := d.kinds(), map[string]string{}
		slow := []string{"session cookie", "logout token", "one-time code"} // they take time, and others live for a minute
		for _, kind := range append(slow, slices.Sorted(maps.Keys(kinds))...) {
			if have[kind] != "" {
				continue
			}
			if have[kind] = kinds[kind](); have[kind] == "" && kind != "nothing" {
				t.Fatalf("there is no %s", kind)
			}
		}
		slots := d.slots()
		before, tried := d.rows(), 0
		for _, s := range slots {
			for kind, secret := range have {
				if slices.Contains(s.takes, kind) {
					continue
				}
				tried++
				if a := s.try(secret); s.taken(a) || a.StatusCode >= 500 {
					t.Errorf("%s, %s: a %s was taken or broke it: %d %s %.200s", s.path, s.name, kind, a.StatusCode, a.Header.Get("Location"), a.body)
				}
			}
		}
		unchanged(t, before, d.rows())
		// Now each where it belongs, first the very ones.
		used := map[string]bool{}
		for _, s := range slots {
			for _, kind := range s.takes {
				secret := have[kind]
				if used[kind] && kind != "session cookie" {
					secret = kinds[kind]()
				}
				used[kind] = true
				if a := s.try(secret); !s.taken(a) {
					t.Errorf("%s, %s: a %s is not taken any more: %d %s %.300s", s.path, s.name, kind, a.StatusCode, a.Header.Get("Location"), a.body)
				}
			}
		}
		t.Logf("%d kinds, %d places, %d pairs off the diagonal", len(have), len(slots), tried)
	})
}

// A secret has one spelling: cut, longer, in another case, with what some readers of base64 overlook, it is another one
// (SEC J-2; Zitadel CVE-2026-27840).
func TestSEC_J2_ASecretHasOneSpelling(t *testing.T) {
	signer, change := warehouse(t)
	testdb.EachAddress(t, func(t *testing.T, dsn string) {
		d := newDrawer(t, testdb.Open(t, dsn), dsn, signer, change)
		cookie := d.kinds()["session cookie"]() // making one takes time, and others live for a minute
		tried := 0
		for _, s := range d.slots() {
			for _, kind := range s.takes {
				secret := cookie
				if kind != "session cookie" {
					secret = d.kinds()[kind]()
				}
				if secret == "" {
					continue
				}
				people := kind == "invitation" || kind == "reset link" || kind == "user code" // who type it from a letter: case and blanks do not count
				half := len(secret) / 2
				for name, other := range map[string]string{
					"cut": secret[:len(secret)-1], "cut by two": secret[:len(secret)-2], "cut in front": secret[1:], "half": secret[:half], "longer": secret + "A", "longer in front": "A" + secret,
					"in capitals": strings.ToUpper(secret), "in small letters": strings.ToLower(secret), "padded": secret + "=", "twice": secret + secret, "with NUL": secret + "\x00", "with a dot": secret + ".",
					"with a line end": secret[:half] + "\n" + secret[half:], "with %": secret + "%00", "a blank": secret[:half] + " " + secret[half:],
					"the last letter's other spelling": secret[:len(secret)-1] + string(secret[len(secret)-1]^1),
				} {
					if other == secret || strings.HasPrefix(s.name, "cookie ") && strings.ContainsAny(other, "\n\x00") {
						continue // net/http drops such bytes before they are sent
					}
					if strings.ContainsAny(other, "\n") && (s.name == "a bearer" || s.name == "the DPoP header") {
						continue
					}
					if people && (name == "in small letters" || name == "a blank" || name == "with a line end") {
						continue
					}
					tried++
					if a := s.try(other); s.taken(a) || a.StatusCode >= 500 {
						t.Errorf("%s, %s: a %s %s was taken or broke it: %d %s %.200s", s.path, s.name, kind, name, a.StatusCode, a.Header.Get("Location"), a.body)
					}
				}
				if a := s.try(secret); !s.taken(a) {
					t.Errorf("%s, %s: the %s itself is not taken any more: %d %.200s", s.path, s.name, kind, a.StatusCode, a.body)
				}
			}
		}
		t.Logf("%d spellings", tried)
	})
}

// Every address of the protocol doors, and every name in a path of the others, is in the matrix or said to hold no secret:
// a new route fails here until somebody has thought about it.
func TestSEC_O15_EveryRouteIsInTheMatrix(t *testing.T) {
	signer, change := warehouse(t)
	d := newDrawer(t, testdb.SQLite(t), "", signer, change)
	listed := slices.Clone(bare)
	for _, s := range d.slots() {
		listed = append(listed, s.path)
	}
	found := paths(t)
	for _, p := range found {
		if !slices.Contains(listed, p) {
			t.Errorf("%s is in no slot of the matrix: which secrets does it take?", p)
		}
	}
	if len(found) < 12 {
		t.Fatalf("only %d addresses were found: %v", len(found), found)
	}
	routes, err := rig.Routes("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, route := range routes {
		for _, name := range route.Params() {
			if !slices.Contains(innocent, name) && !slices.ContainsFunc(listed, func(p string) bool { return strings.Contains(p, "{"+name+"}") }) {
				t.Errorf("%s: is {%s} a secret?", route, name)
			}
		}
	}
}

// typed hands a text in at the field of a sign-in that has come so far, in a browser of its own, and says whether it was
// taken.
func (d *drawer) typed(field, text string) bool {
	d.t.Helper()
	d.Clock.Advance(2 * time.Hour) // no budget of guesses is in the way
	d.network++
	b := d.Browser(fmt.Sprintf("10.1.0.%d", d.network%250+1))
	page := get(d.t, b, rig.Origin+"/signin")
	for _, answer := range [][2]string{{"username", d.anna.Is.Address}, {"current-password", rig.Password}, {"one-time-code", ""}} {
		f := page.Form()
		if answer[0] == field {
			answer[1] = text
		}
		if !f.Fill(answer[0], answer[1]) {
			d.t.Fatalf("no field %s at %s: %s", answer[0], page.URL, page.Main())
		}
		next, err := b.Submit(f)
		if err != nil {
			d.t.Fatal(err)
		}
		if page = next; answer[0] == field {
			return page.Text("error-summary") == "" && page.Status < 400 && jar(b, "session") != "" || field == "current-password" && page.Form() != nil && page.Form().Asks("one-time-code")
		}
	}
	return false
}

// No secret is typed where a person types theirs: not as the password, not as the code of an authenticator.
func TestSEC_O15_NoSecretIsTyped(t *testing.T) {
	signer, change := warehouse(t)
	d := newDrawer(t, testdb.SQLite(t), "", signer, change)
	have := map[string]string{}
	for kind, secret := range d.kinds() {
		have[kind] = secret()
	}
	for kind, text := range have {
		if kind != "password" && d.typed("current-password", text) {
			t.Errorf("a %s was taken for the password", kind)
		}
		if kind != "one-time code" && d.typed("one-time-code", text) {
			t.Errorf("a %s was taken for a code", kind)
		}
	}
	if !d.typed("current-password", rig.Password) {
		t.Error("the password is not taken any more")
	}
	d.Clock.Advance(2 * time.Hour)
	d.SignIn(d.anna, "192.0.2.60")
}
