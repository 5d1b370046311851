package recoverymatrix

import (
	"cmp"
	"crypto/tls"
	"io"
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
	"doorward/internal/pki"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// jar keeps the cookies of one browser at the realm's host, and can be copied with the state it belongs to.
type jar map[string]string

// SetCookies implements http.CookieJar.
func (j jar) SetCookies(_ *url.URL, all []*http.Cookie) {
	for _, c := range all {
		if c.MaxAge < 0 || c.Value == "" {
			delete(j, c.Name)
			continue
		}
		j[c.Name] = c.Value
	}
}

// Cookies implements http.CookieJar.
func (j jar) Cookies(*url.URL) (all []*http.Cookie) {
	for _, name := range slices.Sorted(maps.Keys(j)) {
		all = append(all, &http.Cookie{Name: name, Value: j[name]})
	}
	return all
}

// cast are the people of a town: a customer with two administrators, and the operator's own.
type cast struct {
	realm    string
	file     string // database in which they settled
	postgres bool   // searches are on PostgreSQL
	people   map[string]*rig.Somebody
	certs    map[string]tls.Certificate // on the devices of people, where the realm asks for one
	codes    []string                   // on the member's sheet, where the realm has them
	root     *world
}

// world is one state of the search: what the database holds, and what the attackers have beside it.
type world struct {
	rows   testdb.State
	now    time.Time
	jars   map[string]jar
	minds  map[string]walker.Person // of those at the desk, for signing in again
	flows  []string                 // that the thief has begun
	links  map[string]string        // newest link of each purpose that the thief has read
	stops  []string                 // links that stop or freeze
	secret string                   // of an authenticator that a page has shown the thief
	used   int64                    // last step of it whose code was handed in
	waits  int
	path   []string
}

func (w *world) clone() *world {
	c := *w
	c.jars = map[string]jar{}
	for name, j := range w.jars {
		c.jars[name] = maps.Clone(j)
	}
	c.minds, c.links = maps.Clone(w.minds), maps.Clone(w.links)
	c.flows, c.stops, c.path = slices.Clone(w.flows), slices.Clone(w.stops), slices.Clone(w.path)
	return &c
}

// roles of the people, by the name that tests use.
var roles = []struct {
	name string
	role directory.Role
}{
	{"owner", directory.Owner}, {"supervisor", directory.Supervisor}, {"agent", directory.Agent},
	{"ada", directory.Administrator}, {"bea", directory.Administrator}, {"max", directory.Member},
	{"puppet", directory.Administrator}, // ada, once more
}

// newCast settles the town of a realm and keeps it as the root of searches.
func newCast(t *testing.T, changes ...func(*directory.Realm)) *cast {
	t.Helper()
	c := &cast{file: filepath.Join(scratch(t), "cast.db"), people: map[string]*rig.Somebody{}, certs: map[string]tls.Certificate{}}
	store := open(t, "sqlite:"+c.file)
	r := rig.New(t, store, changes...)
	c.realm = r.Realm.ID
	var ca *rig.CA
	var of pki.Authority
	if strings.Contains(r.Realm.Policy, "login    cert") {
		ca = rig.NewCA(t, "Issuing CA")
		of = r.Trust(ca)
	}
	staff, alder := r.Organization("Northline Supply AG", true), r.Organization("Alder Works", false)
	w := &world{jars: map[string]jar{}, minds: map[string]walker.Person{}, links: map[string]string{}}
	for _, one := range roles {
		if one.role == directory.Administrator && strings.Contains(r.Realm.Policy, "cert + call") {
			continue // clients of the portal have none
		}
		in, at := alder, "alder.example"
		if one.role.Staff() {
			in, at = staff, "northline.example"
		}
		name, address := strings.ToUpper(one.name[:1])+one.name[1:]+" Sample", one.name+"@"+at
		p, link := directory.Person{}, ""
		if one.name == "puppet" {
			p, link = c.invited(t, r, address)
		} else {
			p, link = r.Invite(in, one.role, name, address)
		}
		s := &rig.Somebody{Is: p, Mind: r.Mind(address), Browser: r.Browser("192.0.2.10")}
		if ca != nil && !one.role.Staff() {
			c.certs[one.name] = r.Device(ca, of, p, "Laptop").Cert
			s.Browser = r.BrowserWith("192.0.2.10", c.certs[one.name])
		}
		if err := c.joins(r, s, link); err != nil {
			t.Fatalf("%s joins: %v", one.name, err)
		}
		r.Read(func(tx *sqlstore.Tx) (err error) { s.Is, err = tx.Person(p.Realm, p.ID); return err })
		c.people[one.name] = s
	}
	if strings.Contains(r.Realm.Policy, "replace  recovery") {
		c.codes = sheet(t, c.people["max"])
	}
	for name, s := range c.people {
		w.jars[name], w.minds[name] = cookies(s.Browser), *s.Mind
	}
	r.Deliver()
	w.rows, w.now, w.jars["thief"] = testdb.OpenRows(t, "sqlite:"+c.file).Take(), r.Clock.Now(), jar{}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	c.root = w
	return c
}

// invited is somebody whom ada invites in the console: a second account of her own.
func (c *cast) invited(t *testing.T, r *rig.Rig, address string) (p directory.Person, link string) {
	t.Helper()
	page, err := c.people["ada"].Browser.Submit(&walker.Form{Action: rig.Origin + "/console/people/invite", Method: http.MethodPost, Values: url.Values{
		"email": {address}, "name": {"Somebody Else"}, "role": {"administrator"}, "language": {"en"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range r.Deliver() {
		if l.To == address {
			p.Realm, p.ID, link = l.Realm, l.Person, linkIn.FindString(l.Text)
		}
	}
	if link == "" {
		t.Fatalf("nobody is invited: %s", page.Main())
	}
	return p, link
}

var codeOnPage = regexp.MustCompile(`[0-9A-Z]{4}(?:-[0-9A-Z]{4}){3}`)

// sheet has somebody make recovery codes and keep them.
func sheet(t *testing.T, s *rig.Somebody) (codes []string) {
	t.Helper()
	page, err := s.Browser.Get(rig.Origin + "/account/security")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range page.Forms() {
		if f.Values.Get("kind") != "recovery" {
			continue
		}
		if page, err = s.Browser.Submit(f); err != nil {
			t.Fatal(err)
		}
		codes = codeOnPage.FindAllString(page.Main(), -1)
		f := page.FormTo("/prove")
		f.Values.Set("kept", "yes")
		if page, err = s.Browser.Submit(f); err != nil || page.URL.Path != "/signin/done" {
			t.Fatalf("%v %s", err, page.Main())
		}
	}
	if len(codes) == 0 {
		t.Fatalf("no recovery codes: %s", page.Main())
	}
	return codes
}

// scratch is a directory that needs no disk where there is such a thing: the files of a search are many and short-lived.
func scratch(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "recoverymatrix")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func cookies(c *walker.Client) jar {
	j := jar{}
	u, _ := url.Parse(rig.Origin)
	j.SetCookies(u, c.HTTP.Jar.Cookies(u))
	return j
}

func open(t testing.TB, dsn string) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), dsn, testdb.Ring(), sqlstore.Options{Clock: func() time.Time { return time.Now().UTC() }, Conns: 2, Poll: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ground is the database of one search. Its states come and go in it; the store stays open, because opening one costs more
// than most moves.
type ground struct {
	store *sqlstore.Store
	rows  *testdb.Rows
}

func (c *cast) ground(t *testing.T) *ground {
	t.Helper()
	var dsn string
	if c.postgres {
		dsn = testdb.PostgresAddress(t)
	} else {
		file := filepath.Join(scratch(t), "search.db")
		copyFile(t, c.file, file)
		dsn = "sqlite:" + file
	}
	g := &ground{store: open(t, dsn)}
	g.rows = testdb.OpenRows(t, dsn)
	t.Cleanup(func() {
		if err := g.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// stage is a state come alive: the program on a database that holds it, and everybody's browsers. There is one at a time
// on a ground.
type stage struct {
	*rig.Rig
	cast *cast
	w    *world
	a    *attack
	page *walker.Page // last answer
}

// stage brings a state to life. What happens on it changes no other state.
func (a *attack) stage(t testing.TB, w *world) *stage {
	t.Helper()
	x := &stage{cast: a.cast, w: w.clone(), a: a}
	a.on.rows.Put(w.rows)
	x.Rig = rig.Open(t, a.on.store, a.cast.realm, w.now)
	if a.weak != nil {
		x.Handler = a.weak(x.Rig)
	}
	return x
}

// freeze ends a stage and hands over what it has become.
func (x *stage) freeze() *world {
	x.w.now, x.w.rows = x.Clock.Now(), x.a.on.rows.Take()
	return x.w
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// networks tell the browsers of the town apart; the thief's is like no other.
var networks = map[string]string{"thief": "203.0.113.66"}

// browser is somebody's, with the cookies of this state.
func (x *stage) browser(name string) *walker.Client {
	c := x.Browser(cmp.Or(networks[name], "192.0.2.10"))
	if name == "thief" && x.a.cert {
		c = x.BrowserWith(networks[name], x.cast.certs[x.a.against])
	}
	if x.w.jars[name] == nil {
		x.w.jars[name] = jar{}
	}
	c.HTTP.Jar = x.w.jars[name]
	return c
}

var flowID = regexp.MustCompile(`/signin/([0-9a-f]{8}-[0-9a-f-]{27})`)

// get and post ask as somebody, and remember what the thief has seen.
func (x *stage) get(who, path string) *walker.Page {
	return x.saw(who)(x.browser(who).Get(address(path)))
}

func (x *stage) post(who, path string, pairs ...string) *walker.Page {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return x.saw(who)(x.browser(who).Submit(&walker.Form{Action: address(path), Method: http.MethodPost, Values: v}))
}

func (x *stage) submit(who string, f *walker.Form) *walker.Page {
	return x.saw(who)(x.browser(who).Submit(f))
}

func address(path string) string {
	if strings.HasPrefix(path, "https://") {
		return path
	}
	return rig.Origin + path
}

func (x *stage) saw(who string) func(*walker.Page, error) *walker.Page {
	return func(p *walker.Page, err error) *walker.Page {
		x.T.Helper()
		if err != nil {
			x.T.Fatalf("%v: %v", x.w.path, err)
		}
		if p.Status >= http.StatusInternalServerError && p.Status != http.StatusServiceUnavailable {
			x.T.Errorf("%v: %s answers %d: %s", x.w.path, p.URL, p.Status, p.Main())
		}
		if x.page = p; who == "thief" {
			for _, m := range flowID.FindAllStringSubmatch(p.URL.Path+string(p.Body), -1) {
				if !slices.Contains(x.w.flows, m[1]) {
					x.w.flows = append(x.w.flows, m[1])
				}
			}
		}
		return p
	}
}

var (
	linkIn = regexp.MustCompile(`https://\S+/link/([a-z-]+)/\S+`)
	stopIn = regexp.MustCompile(`https://\S+/(?:requests/stop|not-me)/\S+`)
)

// deliver sends what waits in the outbox. It counts the letters to the victim; whoever has the mailbox, or gets mails
// themselves, reads them.
func (x *stage) deliver() (told int) {
	for _, l := range x.Rig.Deliver() {
		victim := l.Person == x.a.victim().Is.ID
		if victim {
			told++
		}
		mine := slices.ContainsFunc(x.a.desk, func(name string) bool { return x.cast.people[name] != nil && x.cast.people[name].Is.ID == l.Person })
		if victim && !x.a.mailbox || !victim && !mine {
			continue
		}
		for _, m := range linkIn.FindAllStringSubmatch(l.Text, -1) {
			if victim {
				x.w.links[m[1]] = m[0]
			}
		}
		for _, s := range stopIn.FindAllString(l.Text, -1) {
			if !victim && strings.Contains(s, "/not-me/") {
				continue // about the desk's own account
			}
			if x.w.stops = append(x.w.stops, s); len(x.w.stops) > 1 {
				x.w.stops = x.w.stops[1:]
			}
		}
	}
	return told
}
