package main

import (
	"cmp"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/quotedprintable"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/helpdesk"
	"doorward/internal/mail"
	"doorward/internal/rig/walker"
	"doorward/internal/secret"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// Gate: kill -9 of the node at a random moment of every step of a request for help, on each database: while it is opened and
// approved, stopped by the link of a notice, used, denied ("this was not me"), and while the account is let in again. After
// the node has started anew
//
//   - what was answered has happened, and what happened is whole: the state, its event, its letter and its link stand together
//     or not at all,
//   - every letter that stands in the outbox leaves the house (SEC H-7): at once, or, where the dead node had it in hand, when
//     nobody else can be sending it any more,
//   - the step can be taken again, and ends as it should.
func TestSEC_HardGate_H7_KillDuringARequest(t *testing.T) {
	passes := 1
	if os.Getenv("DOORWARD_TORTURE") != "" {
		passes = 40
	}
	testdb.EachAddress(t, func(t *testing.T, dsn string) {
		s := newSite(t, dsn)
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		k := &helped{site: s, t: t, random: rand.New(rand.NewPCG(seed, 1)), node: s.start(), sent: map[string]bool{}}
		k.admin, k.adminBrowser = k.node.join("administrator", "Ada Admin", "ada@alder.example")
		for pass := range passes {
			email := fmt.Sprintf("p%d@alder.example", pass)
			k.mind, _ = k.node.join("member", "Max Member", email)
			k.load(func(tx *sqlstore.Tx) (err error) { k.person, err = tx.PersonByAddress("shop", email); return err })
			k.pass()
		}
		k.node.stop()
		if verify := s.do("audit", "verify", "--json"); !strings.Contains(verify, `"ok": true`) {
			t.Errorf("the trail: %s", verify)
		}
		t.Logf("%d of %d steps were cut before their answer; %d times a letter was in the dead node's hand", k.cut, k.steps, k.late)
	})
}

// helped is somebody who is being helped while nodes die.
type helped struct {
	t            *testing.T
	site         *site
	node         *node
	random       *rand.Rand
	admin, mind  *walker.Person
	adminBrowser *walker.Client
	person       directory.Person
	steps, cut   int
	late         int             // how often a letter was in the dead node's hand
	sent         map[string]bool // ids of letters that were seen to leave
}

func (k *helped) pass() {
	who := "/console/people/" + k.person.ID
	reset := func(c *walker.Client) (*walker.Form, error) {
		return form(c, who+"/reset", "/reset", "kinds", "totp", "reason", "Phone lost on a train", "channel", "person")
	}
	approved := func() bool { return k.live().State == helpdesk.Approved || len(k.live().Approvals) > 0 }
	k.cutting("open and approve", nil, reset, approved)
	stop := linkOf(k.letter("request-opened"), "/requests/stop/") // whether it was chosen for a second look or not
	k.cutting("stop", k.node.browser(), func(c *walker.Client) (*walker.Form, error) {
		return form(c, stop, "", "confirm", "yes")
	}, func() bool { return k.live().ID == "" })

	// A day later once more, and this time it is used: the node dies while the new authenticator is being set up.
	k.site.advance(25 * time.Hour)
	f, err := reset(k.console())
	k.site.must(err)
	_, err = k.adminBrowser.Submit(f)
	k.site.must(err)
	if k.live().State == helpdesk.Approved {
		link := linkOf(k.letter("request-approved"), "/link/")
		k.mind.Secret = ""
		c := k.node.browser()
		k.steps++
		c.HTTP.Transport = &killer{c.HTTP.Transport, k.node, 4 + k.random.IntN(9), k.moment()}
		page, err := c.Get(link)
		if err == nil {
			_, err = k.mind.Walk(c, page, walker.At("/account"))
		}
		if err != nil {
			k.cut++
		}
		k.again(c)
		k.whole("use")
		k.site.until(k.site.now().Add(31 * time.Second))
		if page, err = c.Get(link); err != nil || page.Form() == nil || k.live().ID == "" {
			page, err = c.Get("https://" + shopHost + "/signin")
		}
		k.site.must(err)
		if _, err := k.mind.Walk(c, page, walker.At("/account")); err != nil {
			k.t.Fatalf("the new authenticator cannot be set up: %v", err)
		}
		k.whole("used")
		if k.live().ID != "" {
			k.t.Errorf("the request is %s after its use", k.live().State)
		}
	}

	k.site.advance(31 * time.Second)
	k.node.signIn(k.mind)
	notMe := linkOf(k.letter("signin-new-device"), "/not-me/")
	k.cutting("deny", k.node.browser(), func(c *walker.Client) (*walker.Form, error) {
		return form(c, notMe, "", "confirm", "yes")
	}, func() bool { return k.now().State == directory.Frozen })
	k.cutting("enable", nil, func(c *walker.Client) (*walker.Form, error) {
		return form(c, who+"/enable", "/enable", "reason", "Spoke with Max, all is well")
	}, func() bool { return k.now().State == directory.Active })
	k.site.advance(31 * time.Second)
	k.node.signIn(k.mind)
}

// moment is how long after a request was sent the node dies.
func (k *helped) moment() time.Duration {
	return time.Duration(k.random.Int64N(int64(15 * time.Millisecond)))
}

// form gets a page and fills its form.
func form(c *walker.Client, at, suffix string, pairs ...string) (*walker.Form, error) {
	if strings.HasPrefix(at, "/") {
		at = "https://" + shopHost + at
	}
	page, err := c.Get(at)
	if err != nil {
		return nil, err
	}
	f := page.FormTo(suffix)
	if suffix == "" {
		f = page.Form()
	}
	if f == nil {
		return nil, fmt.Errorf("%s (%d) has no form: %s", at, page.Status, page.Main())
	}
	for i := 0; i < len(pairs); i += 2 {
		if !f.Fill(pairs[i], pairs[i+1]) {
			return nil, fmt.Errorf("%s has no field %s", at, pairs[i])
		}
	}
	return f, nil
}

// console is the administrator's browser, signed in.
func (k *helped) console() *walker.Client {
	k.t.Helper()
	if !k.node.inside(k.adminBrowser) {
		k.site.advance(31 * time.Second)
		k.adminBrowser = k.node.signIn(k.admin)
	}
	return k.adminBrowser
}

// cutting takes a step on a node that dies meanwhile, in a browser or, where it is nil, in the administrator's; where nothing came of it, once more on the next node.
func (k *helped) cutting(what string, c *walker.Client, fill func(*walker.Client) (*walker.Form, error), happened func() bool) {
	k.t.Helper()
	k.steps++
	admin := c == nil
	if admin {
		c = k.console()
	}
	f, err := fill(c)
	k.site.must(err)
	c.HTTP.Transport = &killer{c.HTTP.Transport, k.node, 1, k.moment()}
	follow := c.HTTP.CheckRedirect
	c.HTTP.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // the answer counts, not the page after it
	page, err := c.Submit(f)
	c.HTTP.CheckRedirect = follow
	answered := err == nil && page.Status == http.StatusSeeOther
	if err == nil && !answered {
		k.t.Errorf("%s: %d: %s", what, page.Status, page.Main())
	}
	k.again(c)
	done := happened()
	k.t.Logf("%s: answered %t, happened %t", what, answered, done)
	if answered && !done {
		k.t.Errorf("%s was answered and is lost", what)
	}
	k.whole(what)
	if !answered {
		k.cut++
	}
	if done {
		return
	}
	if admin {
		c = k.console()
	}
	f, err = fill(c)
	k.site.must(err)
	page, err = c.Submit(f)
	k.site.must(err)
	if !happened() {
		k.t.Fatalf("%s does not happen any more (%d): %s", what, page.Status, page.Main())
	}
	k.whole(what + ", again")
}

// again kills what is left of the node and starts another, to which the browsers move.
func (k *helped) again(browsers ...*walker.Client) {
	k.t.Helper()
	k.node.kill()
	k.node = k.site.start()
	for _, c := range append(browsers, k.adminBrowser) {
		k.node.moves(c)
	}
}

func (k *helped) load(fn func(*sqlstore.Tx) error) {
	k.t.Helper()
	ring, err := secret.LoadRing(k.site.path("keyring"))
	k.site.must(err)
	store, err := sqlstore.Open(k.t.Context(), dsnOf(k.site), ring, sqlstore.Options{Clock: k.site.now, Conns: 1})
	k.site.must(err)
	defer store.Close()
	k.site.must(store.Read(k.t.Context(), fn))
}

func (k *helped) now() (p directory.Person) {
	k.t.Helper()
	k.load(func(tx *sqlstore.Tx) (err error) { p, err = tx.Person("shop", k.person.ID); return err })
	return p
}

// live is the request that is open or approved, zero for none; what a denial opened is none.
func (k *helped) live() (q helpdesk.Request) {
	k.t.Helper()
	k.load(func(tx *sqlstore.Tx) error {
		all, err := tx.HelpRequestsLive("shop", k.person.ID)
		q = helpdesk.Request{}
		for _, r := range all {
			if r.Why != helpdesk.NotMe {
				q = r
			}
		}
		return err
	})
	return q
}

// whole compares everything that one step writes: it stands together.
func (k *helped) whole(after string) {
	k.t.Helper()
	k.load(func(tx *sqlstore.Tx) error {
		p, err := tx.Person("shop", k.person.ID)
		if err != nil {
			return err
		}
		requests, err := tx.HelpRequestsOf("shop", p.ID, 100)
		if err != nil {
			return err
		}
		events, err := tx.Events(audit.Query{Realm: "shop", Person: p.ID, Limit: 1000})
		if err != nil {
			return err
		}
		letters, err := tx.Mails("shop", p.ID, 500)
		if err != nil {
			return err
		}
		links, err := tx.OneTimes("shop", p.ID, authn.Mail)
		if err != nil {
			return err
		}
		creds, err := tx.Credentials("shop", p.ID)
		if err != nil {
			return err
		}
		said := func(kind, request string) (n int) {
			for _, e := range events {
				if e.Type == kind && (request == "" || e.Data["request"] == request) {
					n++
				}
			}
			return n
		}
		wrote := func(template string) (n int) {
			for _, m := range letters {
				if m.Template == template {
					n++
				}
			}
			return n
		}
		same := func(what string, one, other int) {
			if one != other {
				k.t.Errorf("after %q: %s: %d and %d", after, what, one, other)
			}
		}
		yes := func(b bool) int {
			if b {
				return 1
			}
			return 0
		}
		grants, denials, stopped := 0, 0, 0
		for _, r := range requests {
			if r.Why == helpdesk.NotMe {
				denials++
				continue
			}
			same("request and its opening", 1, said("request.opened", r.ID))
			same("grant and its event", yes(!r.From.IsZero()), said("request.approved", r.ID))
			same("stop and its event", yes(r.State == helpdesk.Cancelled), said("request.cancelled", r.ID))
			same("use and its event", yes(r.State == helpdesk.Done), said("request.used", r.ID))
			grants += yes(!r.From.IsZero())
			stopped += yes(r.State == helpdesk.Cancelled && r.ClosedWhy != "frozen") // the letter about the freezing tells of those
		}
		same("openings and letters", said("request.opened", ""), wrote("request-opened"))
		same("grants and letters", grants, wrote("request-approved"))
		same("stops and letters", stopped, wrote("request-cancelled"))
		same("denials and events", denials, said("person.frozen", ""))
		same("denials and letters", denials, wrote("account-frozen"))
		same("frozen", yes(p.State == directory.Frozen), said("person.frozen", "")-said("person.enabled", ""))
		same("letters about letting in", said("person.enabled", ""), wrote("account-enabled"))
		alive, active := 0, 0
		for _, l := range links {
			alive += yes(l.Voided.IsZero() && l.Used.IsZero())
		}
		usable := slices.ContainsFunc(requests, func(r helpdesk.Request) bool { return r.State == helpdesk.Approved })
		if alive > 0 && !usable && said("request.used", "") == 0 {
			k.t.Errorf("after %q: a link of no grant works", after)
		}
		for _, c := range creds {
			active += yes(c.Kind == authn.TOTP && c.State == authn.Active)
		}
		same("authenticators", 1, active)
		same("replacements and letters", said("request.used", ""), wrote("factor-replaced"))
		return nil
	})
	k.delivered(after)
}

// delivered waits until every letter to the person has left: the outbox of before the kill is not lost.
func (k *helped) delivered(after string) {
	k.t.Helper()
	begun, waited := time.Now(), false
	for {
		var waiting []mail.Message
		files := map[string]int{}
		rows := map[string]int{}
		k.load(func(tx *sqlstore.Tx) error {
			all, err := tx.Mails("shop", k.person.ID, 500)
			waiting, rows = nil, map[string]int{}
			for _, m := range all {
				switch m.State {
				case mail.Waiting:
					waiting = append(waiting, m)
				case mail.Sent:
					rows[m.Template]++
				}
			}
			return err
		})
		if len(waiting) == 0 {
			for template, n := range rows {
				found, err := filepath.Glob(k.site.path(filepath.Join("mail", "*-"+template+"-*.eml")))
				k.site.must(err)
				if files[template] = len(found); len(found) < n { // those to others are among them
					k.t.Errorf("after %q: %d letters %s are sent, %d have left", after, n, template, len(found))
				}
			}
			return
		}
		// What the dead node had in hand is taken up once it is clear that nobody sends it any more.
		if !waited && time.Since(begun) > 3*time.Second {
			k.site.advance(time.Minute) // SEC H-7
			waited, k.late = true, k.late+1
		}
		if time.Since(begun) > time.Minute {
			k.t.Errorf("after %q: %d letters wait, the first %s: %s", after, len(waiting), waiting[0].Template, waiting[0].LastError)
			return
		}
		<-time.After(50 * time.Millisecond)
	}
}

// letter is the newest letter of a template to the person, as it left.
func (k *helped) letter(template string) string {
	k.t.Helper()
	k.delivered(template)
	found, err := filepath.Glob(k.site.path(filepath.Join("mail", "*-"+template+"-*.eml")))
	k.site.must(err)
	slices.SortFunc(found, func(a, b string) int { return cmp.Compare(b, a) })
	for _, f := range found {
		text, err := os.ReadFile(f)
		k.site.must(err)
		if !strings.Contains(string(text), k.person.Address) {
			continue
		}
		plain, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(string(text))))
		if err != nil { // its header is not encoded like its body
			plain = []byte(strings.NewReplacer("=\r\n", "", "=3D", "=").Replace(string(text)))
		}
		return string(plain)
	}
	k.t.Fatalf("no letter %s to %s", template, k.person.Address)
	return ""
}

var linkIn = regexp.MustCompile(`https://[^\s"<>]+`)

// linkOf is the first link of a letter whose address has a part.
func linkOf(text, part string) string {
	for _, l := range linkIn.FindAllString(text, -1) {
		if strings.Contains(l, part) {
			return l
		}
	}
	return ""
}
