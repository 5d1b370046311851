package demo

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"doorward/internal/web/webtest"
)

// op is a provider of a few lines that can be told to lie.
type op struct {
	*httptest.Server
	key *ecdsa.PrivateKey

	mu     sync.Mutex
	asked  url.Values // the last authorization request
	client string     // who called the token endpoint, and how
	change func(id map[string]any)
	info   map[string]any
	clock  func() time.Time
}

func newOP(t *testing.T, clock func() time.Time) *op {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	o := &op{key: key, clock: clock, info: map[string]any{
		"sub": "u1", "email": "jonas@alder.example", "name": "Jonas Weber", "org_name": "Alder Joinery", "roles": []string{"member"},
	}}
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	}
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{
			"issuer": o.URL, "authorization_endpoint": o.URL + "/oauth2/authorize", "token_endpoint": o.URL + "/oauth2/token", "jwks_uri": o.URL + "/oauth2/jwks",
			"userinfo_endpoint": o.URL + "/oauth2/userinfo", "end_session_endpoint": o.URL + "/oauth2/logout", "authorization_response_iss_parameter_supported": true,
			"id_token_signing_alg_values_supported": []string{"ES256"}, "response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		})
	})
	mux.HandleFunc("GET /oauth2/jwks", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "1", Algorithm: "ES256", Use: "sig"}}})
	})
	mux.HandleFunc("GET /oauth2/userinfo", func(w http.ResponseWriter, _ *http.Request) {
		o.mu.Lock()
		defer o.mu.Unlock()
		answer(w, o.info)
	})
	mux.HandleFunc("POST /oauth2/token", func(w http.ResponseWriter, r *http.Request) { o.token(t, answer, w, r) })
	o.Server = httptest.NewTLSServer(mux)
	t.Cleanup(o.Close)
	return o
}

// token checks what a provider must, PKCE among it, and answers with what change made of the truth.
func (o *op) token(t *testing.T, answer func(http.ResponseWriter, any), w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	id, pass, basic := r.BasicAuth()
	o.client = "basic " + id + " " + pass
	if !basic {
		o.client = "post " + r.PostFormValue("client_id") + " " + r.PostFormValue("client_secret")
		id = r.PostFormValue("client_id")
	}
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if o.asked.Get("code_challenge_method") != "S256" || o.asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) || r.PostFormValue("code") != "c0de" {
		w.WriteHeader(http.StatusBadRequest)
		answer(w, map[string]string{"error": "invalid_grant"})
		return
	}
	now := o.clock()
	claims := map[string]any{
		"iss": o.URL, "aud": id, "sub": "u1", "nonce": o.asked.Get("nonce"), "iat": now.Unix(), "exp": now.Unix() + 300, "auth_time": now.Unix(),
		"acr": "urn:doorward:acr:mfa", "amr": []string{"pwd", "otp", "mfa"}, "sid": "s1",
	}
	if o.change != nil {
		o.change(claims)
	}
	answer(w, map[string]any{"access_token": "at", "token_type": "Bearer", "expires_in": 300, "id_token": o.sign(t, "JWT", claims)})
}

func (o *op) sign(t *testing.T, typ string, claims map[string]any) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: o.key, KeyID: "1"}}, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	if err != nil {
		t.Error(err)
		return ""
	}
	b, err := json.Marshal(claims)
	if err != nil {
		t.Error(err)
		return ""
	}
	signed, err := signer.Sign(b)
	if err != nil {
		t.Error(err)
		return ""
	}
	raw, err := signed.CompactSerialize()
	if err != nil {
		t.Error(err)
	}
	return raw
}

var appNow = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func appSite(t *testing.T) (*Site, *op, *time.Time) {
	t.Helper()
	now := appNow
	clock := func() time.Time { return now }
	o := newOP(t, clock)
	return NewPages(Pages{
		Dir: t.TempDir(), Clock: clock, Keys: webtest.Keys{}, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Shop: o.URL, Wealth: o.URL,
		Tour: "https://tour.localhost", Mailbox: "https://mail.localhost", Origin: func(h string) string { return "https://" + h },
		Secrets: map[string]string{"store": "s-store", "complaints": "s-complaints", "portfolio": "s-portfolio"}, Call: o.Client(),
	}), o, &now
}

// left notes the request a browser leaves with.
func (o *op) left(t *testing.T, res *httptest.ResponseRecorder) url.Values {
	t.Helper()
	u, err := url.Parse(res.Header().Get("Location"))
	if err != nil || res.Code != http.StatusSeeOther || !strings.HasPrefix(u.String(), o.URL+"/oauth2/authorize?") {
		t.Fatalf("%d to %s", res.Code, res.Header().Get("Location"))
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked = u.Query()
	return u.Query()
}

func (o *op) back(q url.Values) string {
	return "/callback?" + url.Values{"code": {"c0de"}, "state": {q.Get("state")}, "iss": {o.URL}}.Encode()
}

func signInAt(t *testing.T, s *Site, o *op, host string) *webtest.Browser {
	t.Helper()
	b := &webtest.Browser{Handler: s, Host: host, Lang: "en"}
	res := b.Get(o.back(o.left(t, b.Get("/signin"))))
	if res.Code != http.StatusSeeOther || res.Header().Get("Location") != "/" {
		t.Fatalf("%d to %s: %s", res.Code, res.Header().Get("Location"), res.Body)
	}
	return b
}

func TestREQ_B28_AnApplicationKnowsWhoSignedIn(t *testing.T) {
	s, o, _ := appSite(t)
	for host, client := range map[string]string{StoreHost: "basic store s-store", ComplaintsHost: "post complaints s-complaints", PortfolioHost: "basic portfolio s-portfolio"} {
		if page := (&webtest.Browser{Handler: s, Host: host, Lang: "en"}).Get("/").Body.String(); !strings.Contains(page, ">Sign in</a>") || strings.Contains(page, "Sign out") {
			t.Errorf("%s: %s", host, page)
		}
		b := signInAt(t, s, o, host)
		q := o.asked
		for _, name := range []string{"state", "nonce", "code_challenge"} {
			if len(q.Get(name)) < 43 {
				t.Errorf("%s: %s is %q", host, name, q.Get(name))
			}
		}
		if q.Get("redirect_uri") != "https://"+host+"/callback" || q.Get("scope") != "openid profile email organization" || q.Get("ui_locales") != "en" || q.Has("max_age") {
			t.Errorf("%s: %v", host, q)
		}
		if o.client != client {
			t.Errorf("%s proves itself as %q", host, o.client)
		}
		page := b.Get("/").Body.String()
		for _, want := range []string{"jonas@alder.example", "Jonas Weber", "Alder Joinery", "member", "urn:doorward:acr:mfa", "pwd otp mfa", ">s1<", ">Sign out</button>", `data-seconds="` + strconv.FormatInt(appNow.Unix(), 10) + `"`} {
			if !strings.Contains(strings.ReplaceAll(page, "<wbr>", ""), want) {
				t.Errorf("%s does not say %q", host, want)
			}
		}
		if strings.Contains(page, "Transfer money") != (host == PortfolioHost) {
			t.Errorf("%s: transfers", host)
		}
	}
}

// Answers that are not to this request sign nobody in.
func TestSEC_O8_AnAnswerOfAnotherIsNotRedeemed(t *testing.T) {
	change := func(key string, value any) func(map[string]any) {
		return func(id map[string]any) { id[key] = value }
	}
	for name, c := range map[string]struct {
		answer func(url.Values) // of the callback
		change func(map[string]any)
		info   string // sub of userinfo
	}{
		"another issuer":           {answer: func(q url.Values) { q.Set("iss", "https://evil.example") }},
		"no issuer":                {answer: func(q url.Values) { q.Del("iss") }},
		"another code":             {answer: func(q url.Values) { q.Set("code", "other") }},
		"another nonce":            {change: change("nonce", "x")},
		"another audience":         {change: change("aud", "complaints")},
		"another issuer in the ID": {change: change("iss", "https://evil.example")},
		"an old token":             {change: change("exp", appNow.Unix()-1)},
		"userinfo of another":      {info: "u2"},
		"refused":                  {answer: func(q url.Values) { q.Del("code"); q.Set("error", "access_denied") }},
		"words in the error":       {answer: func(q url.Values) { q.Del("code"); q.Set("error", "call +41 now") }},
	} {
		s, o, _ := appSite(t)
		o.change = c.change
		if c.info != "" {
			o.info["sub"] = c.info
		}
		b := &webtest.Browser{Handler: s, Host: StoreHost, Lang: "en"}
		u, err := url.Parse(o.back(o.left(t, b.Get("/signin"))))
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		if c.answer != nil {
			c.answer(q)
		}
		res := b.Get("/callback?" + q.Encode())
		page := b.Get("/").Body.String()
		if res.Code != http.StatusSeeOther || res.Header().Get("Location") != "/" || strings.Contains(page, "+41 now") || strings.Contains(page, "evil") || !strings.Contains(page, `id="flash"`) {
			t.Errorf("%s: %d %s", name, res.Code, page)
		}
		if strings.Contains(page, "Sign out") {
			t.Errorf("%s: signed in", name)
		}
	}
}

// Somebody else's answer, planted or brought over from another device, begins an own sign-in, once.
func TestREQ_B28_AnAnswerNobodyBeganStartsAnew(t *testing.T) {
	s, o, now := appSite(t)
	thief := &webtest.Browser{Handler: s, Host: StoreHost, Lang: "en"}
	planted := o.back(o.left(t, thief.Get("/signin")))
	b := &webtest.Browser{Handler: s, Host: StoreHost, Lang: "en"}
	res := b.Get(planted)
	if res.Code != http.StatusSeeOther || res.Header().Get("Location") != "/signin" {
		t.Fatalf("%d to %s", res.Code, res.Header().Get("Location"))
	}
	if page := b.Get("/").Body.String(); strings.Contains(page, "Sign out") {
		t.Error("signed in as whoever planted the answer")
	}
	if res := b.Get(planted); res.Header().Get("Location") != "/" {
		t.Errorf("it goes round in circles: %d", res.Code)
	}
	own := o.back(o.left(t, b.Get("/signin")))
	if res := b.Get(own); res.Header().Get("Location") != "/" {
		t.Fatalf("%d: %s", res.Code, res.Body)
	}
	if res := b.Get(own); res.Header().Get("Location") != "/signin" {
		t.Errorf("an answer was taken twice: %d", res.Code)
	}
	*now = now.Add(visitLife + time.Second)
	if page := b.Get("/").Body.String(); strings.Contains(page, "Sign out") {
		t.Error("a visit without end")
	}
}

func TestREQ_B28_MoneyMovesAfterAFreshProofOnly(t *testing.T) {
	for name, c := range map[string]struct {
		change func(map[string]any)
		still  bool // the clock does not move between sign-in and wish
		moves  bool
	}{
		"fresh":            {moves: true},
		"stronger":         {change: func(id map[string]any) { id["acr"] = "phrh" }, moves: true},
		"an old proof":     {change: func(id map[string]any) { id["auth_time"] = appNow.Unix() }},
		"the same second":  {still: true},
		"one factor":       {change: func(id map[string]any) { id["acr"] = "" }},
		"no time":          {change: func(id map[string]any) { delete(id, "auth_time") }},
		"somebody else":    {change: func(id map[string]any) { id["sub"] = "u2" }},
		"an unknown class": {change: func(id map[string]any) { id["acr"] = "urn:doorward:acr:mfa " }},
	} {
		s, o, now := appSite(t)
		b := signInAt(t, s, o, PortfolioHost)
		if !c.still {
			*now = now.Add(time.Second)
		}
		for _, form := range []url.Values{{"payee": {"Eve"}, "amount": {"500"}}, {"payee": {payees[0]}, "amount": {"1000000"}}, {}} {
			if res := b.Post("/transfer", form); res.Header().Get("Location") != "/" {
				t.Fatalf("%v leads to %s", form, res.Header().Get("Location"))
			}
		}
		q := o.left(t, b.Post("/transfer", url.Values{"payee": {payees[1]}, "amount": {"12000"}}))
		if q.Get("acr_values") != "urn:doorward:acr:mfa" || q.Get("max_age") != "0" {
			t.Errorf("%s: %v", name, q)
		}
		o.change = c.change
		if name == "somebody else" {
			o.info["sub"] = "u2"
		}
		res := b.Get(o.back(q))
		page := b.Get("/").Body.String()
		if res.Code != http.StatusSeeOther || strings.Contains(page, "Nothing was transferred") == c.moves {
			t.Errorf("%s: %d %s", name, res.Code, page)
		}
		if strings.Contains(page, "<td role=\"cell\" data-label=\"To\">"+payees[1]) != c.moves || !strings.Contains(page, "Sign out") {
			t.Errorf("%s: %s", name, page)
		}
	}
	s, o, _ := appSite(t)
	if res := (&webtest.Browser{Handler: s, Host: PortfolioHost}).Post("/transfer", url.Values{"payee": {payees[0]}, "amount": {"500"}}); res.Header().Get("Location") != "/" {
		t.Error("a stranger leaves to pay")
	}
	if res := signInAt(t, s, o, StoreHost).Post("/transfer", url.Values{}); res.Code != http.StatusNotFound {
		t.Errorf("the store moves money: %d", res.Code)
	}
}

func TestSEC_O11_SignOutHereAndFromElsewhere(t *testing.T) {
	s, o, _ := appSite(t)
	b := signInAt(t, s, o, StoreHost)
	res := b.Post("/signout", url.Values{})
	u, err := url.Parse(res.Header().Get("Location"))
	if err != nil || !strings.HasPrefix(u.String(), o.URL+"/oauth2/logout?") || u.Query().Get("post_logout_redirect_uri") != "https://store.localhost/" || u.Query().Get("client_id") != "store" ||
		strings.Count(u.Query().Get("id_token_hint"), ".") != 2 {
		t.Errorf("%d to %s", res.Code, u)
	}
	if page := b.Get("/").Body.String(); strings.Contains(page, "Sign out") {
		t.Error("still signed in")
	}

	n := 0
	logout := func(change func(map[string]any)) map[string]any {
		n++
		c := map[string]any{
			"iss": o.URL, "aud": "complaints", "iat": appNow.Unix(), "exp": appNow.Unix() + 120, "jti": "j" + strconv.Itoa(n), "sid": "s1", "sub": "u1",
			"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
		}
		if change != nil {
			change(c)
		}
		return c
	}
	post := func(raw string) int {
		r := httptest.NewRequest(http.MethodPost, "https://"+ComplaintsHost+backchannelPath, strings.NewReader(url.Values{"logout_token": {raw}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w.Code
	}
	b = signInAt(t, s, o, ComplaintsHost)
	for name, raw := range map[string]string{
		"none": "", "an ID token": o.sign(t, "JWT", logout(nil)), "of another client": o.sign(t, "logout+jwt", logout(func(c map[string]any) { c["aud"] = "store" })),
		"of another issuer": o.sign(t, "logout+jwt", logout(func(c map[string]any) { c["iss"] = "https://evil.example" })),
		"with a nonce":      o.sign(t, "logout+jwt", logout(func(c map[string]any) { c["nonce"] = "x" })),
		"without the event": o.sign(t, "logout+jwt", logout(func(c map[string]any) { delete(c, "events") })),
		"expired":           o.sign(t, "logout+jwt", logout(func(c map[string]any) { c["exp"] = appNow.Unix() - 1 })),
		"without a name":    o.sign(t, "logout+jwt", logout(func(c map[string]any) { delete(c, "jti") })),
		"of nobody":         o.sign(t, "logout+jwt", logout(func(c map[string]any) { delete(c, "sid"); delete(c, "sub") })),
	} {
		if code := post(raw); code != http.StatusBadRequest {
			t.Errorf("%s: %d", name, code)
		}
	}
	if code := post(o.sign(t, "logout+jwt", logout(func(c map[string]any) { c["sid"] = "s2" }))); code != http.StatusOK {
		t.Errorf("another session: %d", code)
	}
	if page := b.Get("/").Body.String(); !strings.Contains(page, "Sign out") {
		t.Fatal("ended by something that was refused, or by the end of another session")
	}
	one := o.sign(t, "logout+jwt", logout(nil))
	if code := post(one); code != http.StatusOK {
		t.Errorf("%d", code)
	}
	if page := b.Get("/").Body.String(); strings.Contains(page, "Sign out") {
		t.Error("still signed in although the session has ended")
	}
	if code := post(one); code != http.StatusBadRequest {
		t.Errorf("a log-out token twice: %d", code)
	}
	b = signInAt(t, s, o, ComplaintsHost)
	if code := post(o.sign(t, "logout+jwt", logout(func(c map[string]any) { delete(c, "sid") }))); code != http.StatusOK {
		t.Errorf("by subject: %d", code)
	}
	if page := b.Get("/").Body.String(); strings.Contains(page, "Sign out") {
		t.Error("still signed in although every session of the person has ended")
	}
}

// A provider that does not answer is told as such, and is asked again.
func TestAProviderThatIsAway(t *testing.T) {
	s, o, _ := appSite(t)
	o.Close()
	b := &webtest.Browser{Handler: s, Host: StoreHost, Lang: "en"}
	if res := b.Get("/signin"); res.Header().Get("Location") != "/" {
		t.Errorf("%d: %s", res.Code, res.Body)
	}
	if page := b.Get("/").Body.String(); !strings.Contains(page, "cannot be reached") {
		t.Error(page)
	}
}

// Secrets are made once, for this directory, and are its owner's alone.
func TestSecretsOfADirectory(t *testing.T) {
	dir := t.TempDir()
	one, err := Secrets(dir)
	if err != nil {
		t.Fatal(err)
	}
	two, err := Secrets(dir)
	if err != nil || len(one) != 3 || one["store"] == one["portfolio"] || one["store"] != two["store"] {
		t.Errorf("%v", err)
	}
	if info, err := os.Stat(dir + "/" + clientsFile); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	other, err := Secrets(t.TempDir())
	if err != nil || other["store"] == one["store"] {
		t.Error("the same secret in another directory")
	}
	origin := func(h string) string { return "https://" + h + ":8443" }
	var ids []string
	for _, realm := range []string{"shop", "wealth"} {
		for _, rp := range RelyingParties(realm, origin, one) {
			ids = append(ids, rp.ID)
			if sum := sha256.Sum256([]byte(one[rp.ID])); rp.SecretSHA256 != strings.ToLower(hexOf(sum[:])) || len(rp.RedirectURIs) != 1 {
				t.Errorf("%+v", rp)
			}
		}
	}
	if !slices.Equal(ids, []string{"store", "complaints", "portfolio"}) {
		t.Errorf("%v", ids)
	}
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for _, x := range b {
		s.WriteByte(digits[x>>4])
		s.WriteByte(digits[x&15])
	}
	return s.String()
}

func TestMemoryIsBounded(t *testing.T) {
	m := newMemory()
	first := ""
	for i := range 2 * maxVisits {
		c := m.begin("", "s", begun{at: appNow.Add(time.Duration(i) * time.Millisecond)})
		if i == 0 {
			first = c
		}
	}
	if _, ok := m.look(first, appNow); ok || len(m.visits) > maxVisits {
		t.Errorf("%d visits", len(m.visits))
	}
	c := m.begin("", "0", begun{at: appNow})
	for i := range 10 {
		m.begin(c, strconv.Itoa(i+1), begun{at: appNow.Add(time.Duration(i+1) * time.Second)})
	}
	if _, ok := m.take(c, "0", appNow); ok {
		t.Error("the oldest sign-in of a browser is still open")
	}
	if _, ok := m.take(c, "10", appNow); !ok {
		t.Error("the newest is not")
	}
	for i := range 2 * maxSpent {
		m.spend(strconv.Itoa(i), appNow)
	}
	if len(m.spent) > maxSpent {
		t.Errorf("%d spent", len(m.spent))
	}
}
