package oidc_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/forwardauth"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/secret"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
	"doorward/internal/token"
)

// drawer holds one of every kind of secret that the product has, and makes more.
type drawer struct {
	*street
	dsn       string
	b         *walker.Client // Anna is signed in here
	flowing   *walker.Client // and begins to sign in here
	warehouse jose.Signer
	pocket    *pocket
	question  *walker.Page // a consent page that is open in b
	n         int
	led       string // the flow that the newest ticket back from the host for certificates belongs to
}

func newDrawer(t *testing.T, store *sqlstore.Store, dsn string, signer jose.Signer, change func(*directory.Realm)) *drawer {
	t.Helper()
	signs := func(r *directory.Realm) {
		for i := range r.Relying {
			if r.Relying[i].ID == "warehouse" {
				r.Relying[i].UserinfoAlg = token.ES256
			}
		}
		r.Relying = append(r.Relying, directory.RelyingParty{
			ID: "terminal", Name: "Terminal", Home: "https://terminal.example", Auth: directory.AuthSecretBasic, SecretSHA256: r.Relying[0].SecretSHA256,
			Grants: []string{directory.GrantDevice}, Scopes: []string{"openid"}, FirstParty: true,
		}, directory.RelyingParty{ID: "wiki", Name: "Wiki", Home: "https://wiki.example/", Hosts: []string{wiki}})
	}
	d := &drawer{street: &street{Rig: rig.New(t, store, clients, change, signs), t: t}, dsn: dsn, warehouse: signer, pocket: newPocket(t)}
	d.lane, d.org = d.Browser("192.0.2.60"), d.Organization("Alder Works", false)
	d.anna = d.Join(d.org, directory.Member, "Anna Alder", "anna@alder.example")
	d.b, d.flowing = d.SignIn(d.anna, "192.0.2.60"), d.Browser("192.0.2.61")
	d.flow() // so that the browser has its cookie
	d.question = d.asked(d.b, d.anna)
	return d
}

// kinds are the kinds, each with what makes one that works.
func (d *drawer) kinds() map[string]func() string {
	issued := func(name string) func() string {
		return func() string { return fmt.Sprint(d.tokens(d.b, d.anna.Mind, "scope", "openid profile")[name]) }
	}
	return map[string]func() string{
		"session cookie":      func() string { return jar(d.SignIn(d.anna, "192.0.2.71"), "session") },
		"browser cookie":      func() string { return jar(d.flowing, "browser") },
		"device cookie":       func() string { return jar(d.anna.Browser, "device") },
		"flow id":             func() string { return d.flow() },
		"request id":          func() string { return d.request() },
		"request_uri":         func() string { return d.push() },
		"PAR handle":          func() string { return strings.TrimPrefix(d.push(), "urn:ietf:params:oauth:request_uri:") },
		"consent answer":      func() string { return d.question.Form().Values.Get("shown") },
		"code":                func() string { return get(d.t, d.b, request("store", callback)).URL.Query().Get("code") },
		"code verifier":       func() string { return verifier },
		"access token":        issued("access_token"),
		"refresh token":       issued("refresh_token"),
		"ID token":            issued("id_token"),
		"client access token": func() string { return d.itself() },
		"logout token":        func() string { return d.goodbye() },
		"introspection JWT":   func() string { return d.introspection() },
		"userinfo JWT":        func() string { return d.userinfoJWT() },
		"client secret":       func() string { return storeSecret },
		"secret's hash":       func() string { return d.rp("store").SecretSHA256 },
		"client assertion": func() string {
			d.n++
			return d.asserted(d.warehouse, fmt.Sprint("kind ", d.n), url.Values{}).Get("client_assertion")
		},
		"request object": func() string { return d.object() },
		"DPoP proof":     func() string { return d.pocket.proof(d.Clock.Now(), http.MethodPost, "/oauth2/token", "") },
		"DPoP nonce":     func() string { return token.ProofNonces(testdb.Ring(), "shop", d.Clock.Now())[0] },
		"device code": func() string {
			asked := d.device()
			d.allows(d.b, asked)
			return asked["device_code"].(string)
		},
		"user code":          func() string { return d.device()["user_code"].(string) },
		"guarded request":    func() string { return d.guarded() },
		"ticket":             func() string { return d.ticket() },
		"guarded browser":    func() string { return atWiki },
		"guarded cookie":     func() string { return d.passes() },
		"certificate ticket": func() string { return d.shownNothing() },
		"invitation":         func() string { return d.invitation() },
		"reset link":         func() string { return d.reset() },
		"password":           func() string { return rig.Password },
		"one-time code":      func() string { return d.anna.Mind.NextCode() },
		"authenticator key":  func() string { return d.anna.Mind.Secret },
		"audit checkpoint":   func() string { return d.checkpoint() },
		"person's id":        func() string { return d.anna.Is.ID },
		"nothing":            func() string { return "" },
	}
}

func jar(b *walker.Client, name string) string {
	u, _ := url.Parse(rig.Origin)
	for _, c := range b.HTTP.Jar.Cookies(u) {
		if c.Name == "__Host-"+name {
			return c.Value
		}
	}
	return ""
}

func (d *drawer) rp(id string) directory.RelyingParty {
	var out directory.RelyingParty
	d.Read(func(tx *sqlstore.Tx) error {
		r, err := tx.Realm("shop")
		for _, rp := range r.Relying {
			if rp.ID == id {
				out = rp
			}
		}
		return err
	})
	return out
}

func (d *drawer) flow() string {
	d.t.Helper()
	page := get(d.t, d.flowing, rig.Origin+"/signin")
	f := page.Form()
	f.Fill("username", d.anna.Is.Address)
	page, err := d.flowing.Submit(f)
	if err != nil {
		d.t.Fatal(err)
	}
	return strings.TrimPrefix(page.URL.Path, "/signin/")
}

// shownNothing is the ticket back of a browser that showed no certificate, in a flow of its own.
func (d *drawer) shownNothing() string {
	d.led = d.flow()
	ticket, there := secret.Token(), []byte(secret.Token())
	now := d.Clock.Now()
	d.Write(func(tx *sqlstore.Tx) error {
		way := authn.Sighting{ID: d.led, Realm: "shop", Flow: d.led, There: there, Created: now, Expires: now.Add(time.Hour)}
		if err := tx.AddSighting(way); err != nil {
			return err
		}
		_, err := tx.See("shop", there, authn.Sighting{Back: testdb.Ring().Hash("sighting:back", ticket), Seen: now, Expires: now.Add(24 * time.Hour)})
		return err
	})
	return ticket
}

func (d *drawer) request() string {
	a := d.raw(http.MethodGet, "/oauth2/authorize", query(d.t, request("store", callback)))
	return strings.TrimPrefix(a.Header.Get("Location"), "/oauth2/authorize/")
}

func (d *drawer) push() string {
	d.t.Helper()
	status, got := d.post("/oauth2/par", query(d.t, request("store", callback)), basic("store", storeSecret))
	if status != http.StatusCreated {
		d.t.Fatalf("%d %v", status, got)
	}
	return got["request_uri"].(string)
}

// device asks for a device that its person has to allow.
func (d *drawer) device() map[string]any {
	d.t.Helper()
	status, got := d.post("/oauth2/device_authorization", url.Values{"scope": {"openid"}}, basic("terminal", storeSecret))
	if status != http.StatusOK {
		d.t.Fatalf("%d %v", status, got)
	}
	return got
}

// A host that forward-auth guards, and the secret of the browser that wants to go there.
const wiki = "wiki.example"

var atWiki = base64.RawURLEncoding.EncodeToString([]byte("the secret of a browser, 32 long"))

// told asks the other door as a proxy in front of the wiki does.
func (d *drawer) told(path, cookie string) answer {
	d.t.Helper()
	req, err := http.NewRequest(http.MethodGet, rig.Origin+path, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	if cookie != "" {
		req.Header["Cookie"] = []string{cookie}
	}
	return d.send(forwardauth.Told(req, forwardauth.Said{Method: []string{"GET"}, Proto: []string{"https"}, Host: []string{wiki}, URI: []string{"/page"}}))
}

func (d *drawer) guarded() string {
	sum := sha256.Sum256([]byte("doorward forward-auth " + atWiki))
	a := d.raw(http.MethodGet, "/forward-auth/start", url.Values{"host": {wiki}, "to": {"/"}, "nonce": {base64.RawURLEncoding.EncodeToString(sum[:])}})
	return strings.TrimPrefix(a.Header.Get("Location"), "/forward-auth/start/")
}

func (d *drawer) ticket() string {
	return query(d.t, d.raw(http.MethodGet, "/forward-auth/start/"+d.guarded(), nil, as(d.b)).Header.Get("Location")).Get("ticket")
}

func (d *drawer) passes() string {
	for _, c := range d.told("/.doorward/callback?ticket="+d.ticket(), "__Host-doorward-start="+atWiki).Cookies() {
		if c.Name == "__Host-doorward" {
			return c.Value
		}
	}
	return ""
}

func (d *drawer) itself() string {
	_, got := d.post("/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"orders"}}, basic("store", storeSecret))
	return fmt.Sprint(got["access_token"])
}

func (d *drawer) goodbye() (out string) {
	d.t.Helper()
	b := d.SignIn(d.anna, "192.0.2.72")
	id := fmt.Sprint(d.tokens(b, d.anna.Mind)["id_token"])
	get(d.t, b, rig.Origin+"/oauth2/logout?id_token_hint="+id)
	if err := d.Provider.Farewells(context.Background(), []string{"shop"}, func(_ context.Context, to string, form url.Values) error {
		out = form.Get("logout_token")
		return nil
	}); err != nil {
		d.t.Fatal(err)
	}
	return out
}

func (d *drawer) introspection() string {
	return d.raw(http.MethodPost, "/oauth2/introspect", plus(desk, "token", d.itself()), func(r *http.Request) {
		r.Header.Set("Accept", "application/token-introspection+jwt")
	}).body
}

func (d *drawer) userinfoJWT() string {
	const cb = "https://warehouse.example/cb"
	code := get(d.t, d.b, request("warehouse", cb, "scope", "openid")).URL.Query().Get("code")
	d.n++
	form := d.asserted(d.warehouse, fmt.Sprint("kind ", d.n), url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {cb}, "code_verifier": {verifier}})
	_, got := d.post("/oauth2/token", form)
	return d.raw(http.MethodGet, "/oauth2/userinfo", nil, func(r *http.Request) { r.Header.Set("Authorization", fmt.Sprint("Bearer ", got["access_token"])) }).body
}

func (d *drawer) object() string {
	now := d.Clock.Now().Unix()
	claims := map[string]any{"iss": "warehouse", "aud": rig.Origin, "nbf": now, "exp": now + 300}
	for k, v := range query(d.t, request("warehouse", "https://warehouse.example/cb", "scope", "openid")) {
		claims[k] = v[0]
	}
	return sign(d.t, d.warehouse, claims)
}

func (d *drawer) invitation() string {
	d.n++
	_, link := d.Invite(d.org, directory.Member, "Ida Invited", fmt.Sprintf("ida%d@alder.example", d.n))
	return link[strings.LastIndex(link, "/")+1:]
}

var resetLink = regexp.MustCompile(`/link/password/(\S+)`)

func (d *drawer) reset() string {
	d.t.Helper()
	d.Deliver()
	b := d.Browser("192.0.2.73")
	f := get(d.t, b, rig.Origin+"/signin/forgot").Form()
	if !f.Fill("username", d.anna.Is.Address) {
		f.Fill("email", d.anna.Is.Address)
	}
	if _, err := b.Submit(f); err != nil {
		d.t.Fatal(err)
	}
	for _, l := range d.Deliver() {
		if m := resetLink.FindStringSubmatch(l.Text); m != nil {
			return m[1]
		}
	}
	d.t.Fatal("no link to a new password was sent")
	return ""
}

func (d *drawer) checkpoint() string {
	d.t.Helper()
	signer, err := audit.NewSigner(ed25519.NewKeyFromSeed(make([]byte, 32)))
	if err == nil {
		err = (&audit.Sequencer{Store: sqlstore.For[audit.Tx](d.Store), Signer: signer}).Checkpoint(context.Background(), d.Clock.Now())
	}
	var out string
	d.Read(func(tx *sqlstore.Tx) error {
		all, err := tx.Checkpoints(1)
		if len(all) == 1 {
			out = all[0].Note
		}
		return err
	})
	if err != nil || out == "" {
		d.t.Fatalf("no checkpoint: %v", err)
	}
	return out
}

// kept are the tables in which a secret is spent, ended, or stands for somebody; what may change in them when nothing
// happens is left out.
var kept = map[string]string{
	"session": "seen", "credential": "", "one_time": "", "device": "seen", "person": "", "acceptance": "",
	"oidc_request": "expires", "oidc_code": "", "oidc_refresh": "", "oidc_authorization": "", "oidc_consent": "", "oidc_device": "", "oidc_logout": "", "oidc_key": "",
}

// rows is everything in the tables that are kept, by table and first column.
func (d *drawer) rows() map[string]string {
	d.t.Helper()
	driver, name := "pgx", d.dsn
	if path, ok := strings.CutPrefix(d.dsn, "sqlite:"); ok {
		driver, name = "sqlite", "file:"+path+"?_pragma=busy_timeout(5000)"
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		d.t.Fatal(err)
	}
	defer db.Close()
	out := map[string]string{}
	for table, leave := range kept {
		found, err := db.Query("SELECT * FROM " + table)
		if err != nil {
			d.t.Fatal(err)
		}
		columns, err := found.Columns()
		if err != nil {
			d.t.Fatal(err)
		}
		for found.Next() {
			values, into := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			if err := found.Scan(into...); err != nil {
				d.t.Fatal(err)
			}
			text := ""
			for i, c := range columns {
				if c != leave {
					text += fmt.Sprintf("%s=%v ", c, values[i])
				}
			}
			key := fmt.Sprintf("%s %v", table, values[:min(3, len(values))])
			out[key] = text
		}
		if err := found.Close(); err != nil {
			d.t.Fatal(err)
		}
	}
	return out
}

// unchanged fails where something that was there before is another thing now, or gone. New rows are for who asks.
func unchanged(t *testing.T, before, after map[string]string) {
	t.Helper()
	for key, text := range before {
		if after[key] != text {
			t.Errorf("something was spent or changed:\n %s\n %s", text, after[key])
		}
	}
}
