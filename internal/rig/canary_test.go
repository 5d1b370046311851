package rig_test

import (
	"encoding/base32"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"doorward/internal/audit"
	"doorward/internal/directory"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// canaries collects every secret that passes through the house, and says where each was seen.
type canaries map[string]string

func (c canaries) plant(what, secret string) {
	if len(secret) >= 6 {
		c[secret] = what
	}
}

// cookies plants what a browser keeps.
func (c canaries) cookies(browser *walker.Client) {
	u, _ := url.Parse(rig.Origin)
	for _, k := range browser.HTTP.Jar.Cookies(u) {
		if k.Name != "__Host-lang" {
			c.plant("cookie "+k.Name, k.Value)
		}
	}
}

func (c canaries) search(t testing.TB, place, text string) {
	t.Helper()
	for secret, what := range c {
		if strings.Contains(text, secret) {
			t.Errorf("%s holds a %s", place, what)
		}
	}
}

// Secrets are planted by walking through everything, also the wrong way, and then searched for where they must never be.
func TestSEC_G3_T7_TDB_NoSecretIsKeptOrLogged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "canary.db")
	r := rig.New(t, testdb.Open(t, "sqlite:"+path))
	org := r.Organization("Alder Works", false)
	planted := canaries{}
	planted.plant("password", rig.Password)

	_, link := r.Invite(org, directory.Member, "Max Alder", "max@alder.example")
	planted.plant("invitation", link[strings.LastIndex(link, "/")+1:])
	me, c := r.Mind("max@alder.example"), r.Browser("192.0.2.10")
	codes := 0
	me.Code = func(secret string, at time.Time) string {
		code := walker.TOTP(secret, at)
		planted.plant("code", "\""+code) // six digits alone stand in too many numbers
		planted.plant("authenticator key", secret)
		if raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret); err == nil {
			planted.plant("authenticator key", string(raw))
		}
		codes++
		return code
	}
	me.Seen = func(*walker.Page) { planted.cookies(c) }
	page, err := c.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	// Wrong answers on the way, each a secret of somebody else's.
	wrong := map[string]bool{}
	me.Asked = func(p *walker.Page, f *walker.Form) bool {
		for _, field := range []string{"new-password", "current-password", "one-time-code"} {
			if f.Asks(field) && !wrong[field+p.Title()] {
				wrong[field+p.Title()] = true
				value := "Canary-" + field + "-wrong-answer-4711"
				planted.plant("wrong "+field, value)
				f.Fill(field, value)
				if next, err := c.Submit(f); err != nil || next.Text("error-summary") == "" {
					if field != "new-password" { // long enough to be a good password
						t.Errorf("%s: a wrong answer is not refused: %v", field, err)
					}
				}
			}
		}
		return false
	}
	me.Password = "Canary-new-password-wrong-answer-4711"
	if _, err = me.Walk(c, page, walker.At("/account")); err != nil {
		t.Fatal(err)
	}
	if codes < 2 {
		t.Fatalf("only %d codes were used", codes)
	}
	forgot := r.Browser("192.0.2.11")
	if page, err = forgot.Get(rig.Origin + "/signin/forgot"); err != nil {
		t.Fatal(err)
	}
	f := page.Form()
	for _, field := range []string{"username", "email"} {
		f.Fill(field, "max@alder.example")
	}
	if _, err = forgot.Submit(f); err != nil {
		t.Fatal(err)
	}
	planted.cookies(forgot)
	letters := r.Deliver()
	for _, l := range letters {
		for _, a := range l.Args {
			if strings.HasPrefix(a, rig.Origin) {
				planted.plant("link of "+l.Template, a[strings.LastIndex(a, "/")+1:])
			}
		}
	}
	if len(planted) < 10 || len(letters) < 2 {
		t.Fatalf("only %d secrets and %d letters: nothing is proven", len(planted), len(letters))
	}

	planted.search(t, "the log", r.Log.String())
	r.Read(func(tx *sqlstore.Tx) error {
		events, err := tx.Events(audit.Query{Realm: r.Realm.ID, Limit: 1000})
		if len(events) < 5 {
			t.Errorf("only %d events", len(events))
		}
		planted.search(t, "the audit", fmt.Sprintf("%+v", events))
		return err
	})
	// A letter carries its own link and nothing else that is secret.
	for _, l := range letters {
		text := l.Text
		for _, a := range l.Args {
			text = strings.ReplaceAll(text, a, "")
			text = strings.ReplaceAll(text, a[strings.LastIndex(a, "/")+1:], "")
		}
		planted.search(t, "the mail "+l.Template, text)
	}
	// Who steals the database, and its journal, has none of it.
	for _, suffix := range []string{"", "-wal"} {
		dump, err := os.ReadFile(path + suffix)
		if err != nil && suffix == "" {
			t.Fatal(err)
		}
		planted.search(t, "the database file"+suffix, string(dump))
	}
	// The search itself can fail.
	found := &quiet{TB: t}
	planted.search(found, "a test", rig.Password)
	if found.n == 0 {
		t.Error("the search finds nothing at all")
	}
}

type quiet struct {
	testing.TB
	n int
}

func (q *quiet) Errorf(string, ...any) { q.n++ }
