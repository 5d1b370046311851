package rig_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"doorward/internal/activation"
	"doorward/internal/admin"
	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
	"doorward/internal/pki"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/secret"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// town is a realm with two customers and the operator's own people.
type town struct {
	*rig.Rig
	adminA, memberA, adminB, memberB  *rig.Somebody
	agent, supervisor, auditor, owner *rig.Somebody
	invitedB                          directory.Person
	linkB                             string
	requestsB                         map[string]string // id of a request about each person of B
	callsB                            map[string]string // id of an activation of each
	certificatesB                     map[string]string // id of a certificate of each
}

func newTown(t *testing.T, s *sqlstore.Store) *town {
	t.Helper()
	w := &town{Rig: rig.New(t, s)}
	staff := w.Organization("Northline Supply AG", true)
	a, b := w.Organization("Alder Works", false), w.Organization("Birkenfeld Optik", false)
	w.owner = w.Join(staff, directory.Owner, "Olga Owner", "olga@northline.example")
	w.agent = w.Join(staff, directory.Agent, "Aged Agent", "agent@northline.example")
	w.supervisor = w.Join(staff, directory.Supervisor, "Susi Supervisor", "super@northline.example")
	w.auditor = w.Join(staff, directory.Auditor, "Audrey Auditor", "audit@northline.example")
	w.adminA = w.Join(a, directory.Administrator, "Ada Alder", "ada@alder.example")
	w.memberA = w.Join(a, directory.Member, "Max Alder", "max@alder.example")
	w.adminB = w.Join(b, directory.Administrator, "Berta Birkenfeld", "berta@birkenfeld.example")
	w.memberB = w.Join(b, directory.Member, "Moritz Birkenfeld", "moritz@birkenfeld.example")
	w.invitedB, w.linkB = w.Invite(b, directory.Member, "Ines Birkenfeld", "ines@birkenfeld.example")
	w.requestsB = map[string]string{}
	for _, p := range []directory.Person{w.adminB.Is, w.memberB.Is, w.invitedB} {
		_, err := w.Requests.Ask(t.Context(), login.Caller{Realm: w.Realm.ID, Network: "198.51.100.9"}, admin.Form{Address: p.Address, Why: helpdesk.FactorLost, Words: "Birkenfeld"}, w.Proof())
		if err != nil {
			t.Fatal(err)
		}
		w.Read(func(tx *sqlstore.Tx) error {
			all, err := tx.HelpInbox(w.Realm.ID, b.ID, "", 50)
			for _, q := range all {
				if q.Address == p.Address {
					w.requestsB[p.ID] = q.ID
				}
			}
			return err
		})
	}
	w.callsB = map[string]string{}
	for _, p := range []directory.Person{w.adminB.Is, w.memberB.Is, w.invitedB} {
		w.callsB[p.ID] = w.waits(p)
	}
	w.certificatesB = map[string]string{}
	for _, p := range []directory.Person{w.adminB.Is, w.memberB.Is, w.invitedB} {
		c := pki.Certificate{
			ID: "certificate-" + p.ID, Realm: p.Realm, Person: p.ID, Device: "device-" + p.ID, Name: "Birkenfeld laptop", Issuer: "issuer", Serial: p.ID, Key: p.ID,
			State: pki.Issued, Created: w.Clock.Now(), NotBefore: w.Clock.Now(), NotAfter: w.Clock.Now().AddDate(2, 0, 0),
		}
		w.Write(func(tx *sqlstore.Tx) error { return tx.AddCertificate(c) })
		w.certificatesB[p.ID] = c.ID
		e := pki.Enrolment{
			ID: "enrolment-" + p.ID, Realm: p.Realm, Person: p.ID, Device: "managed-" + p.ID, Name: "Birkenfeld terminal", Secret: []byte(p.ID), State: pki.EnrolmentReady,
			Created: w.Clock.Now(), Until: w.Clock.Now().AddDate(0, 0, 7),
		}
		w.Write(func(tx *sqlstore.Tx) error { return tx.AddEnrolment(e) })
	}
	return w
}

// waits puts a session of somebody into the store that waits for a call.
func (w *town) waits(p directory.Person) string {
	now := w.Clock.Now()
	f := authn.Flow{ID: "flow-" + p.ID, Realm: p.Realm, Person: p.ID, Address: p.Address, State: authn.FlowOpen, Created: now, Expires: now.Add(time.Hour)}
	a := activation.Activation{
		ID: "call-" + p.ID, Realm: p.Realm, Person: p.ID, Flow: f.ID, Kind: authn.Spoken, Number: "Birkenfeld", Hash: []byte(p.ID), State: activation.Waiting,
		Browser: "Birkenfeld on Windows", Created: now, Expires: now.Add(activation.Life),
	}
	w.Write(func(tx *sqlstore.Tx) error {
		if err := tx.AddFlow(f); err != nil {
			return err
		}
		return tx.AddActivation(a)
	})
	return a.ID
}

// marks are texts that only the other organization, its own people and staff may ever read.
var marks = []string{"Birkenfeld", "birkenfeld", "Berta", "Moritz", "Ines"}

// about is everything stored about the other organization that a foreign hand could have changed.
func (w *town) about() string {
	var b strings.Builder
	w.Read(func(tx *sqlstore.Tx) error {
		b.Reset()
		for _, id := range []string{w.adminB.Is.ID, w.memberB.Is.ID, w.invitedB.ID} {
			p, err := tx.Person(w.Realm.ID, id)
			if fault.Of(err, fault.NotFound) {
				fmt.Fprintf(&b, "%s is gone;", id)
				continue
			}
			if err != nil {
				return err
			}
			creds, err := tx.Credentials(w.Realm.ID, id)
			if err != nil {
				return err
			}
			sessions, err := tx.Sessions(w.Realm.ID, id)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "%s %s %s %s %d;", p.ID, p.State, p.Role, p.Name, p.Version)
			for _, c := range creds {
				fmt.Fprintf(&b, " %s %s %s %d;", c.ID, c.State, c.Name, c.Version)
			}
			for _, s := range sessions {
				fmt.Fprintf(&b, " %s %s;", s.ID, s.Why)
			}
			q, err := tx.HelpRequest(w.Realm.ID, w.requestsB[id])
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %s %s %d;", q.ID, q.State, q.Version)
			c, err := tx.Activation(w.Realm.ID, w.callsB[id])
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %s %s %d %d;", c.ID, c.State, c.Tries, c.Version)
			managed, err := tx.Enrolment(w.Realm.ID, "enrolment-"+id)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %s %d;", managed.State, managed.Version)
			h, err := tx.Certificate(w.Realm.ID, w.certificatesB[id])
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %s %s %d;", h.ID, h.State, h.Version)
			for _, kind := range []authn.Kind{authn.Invite, authn.Mail} {
				links, err := tx.OneTimes(w.Realm.ID, id, kind)
				if err != nil {
					return err
				}
				for _, o := range links {
					fmt.Fprintf(&b, " %s %t %t;", o.ID, o.Used.IsZero(), o.Voided.IsZero())
				}
			}
		}
		o, err := tx.Organization(w.Realm.ID, w.memberB.Is.Organization)
		fmt.Fprintf(&b, " %s %s %d;", o.Name, o.State, o.Version)
		return err
	})
	return b.String()
}

// values fill the patterns with what belongs to the other organization: the worst a foreigner can ask for.
func (w *town) values(t *testing.T) []map[string]string {
	t.Helper()
	var out []map[string]string
	w.Read(func(tx *sqlstore.Tx) error {
		out = nil
		for _, p := range []directory.Person{w.adminB.Is, w.memberB.Is, w.invitedB} {
			v := map[string]string{
				"person": p.ID, "organization": p.Organization, "request": w.requestsB[p.ID], "call": w.callsB[p.ID], "certificate": w.certificatesB[p.ID], "enrolment": "enrolment-" + p.ID, "link": "none", "credential": "none", "session": "none", "client": "store", "flow": "none", "token": "none", "ticket": "none", "purpose": "set-up", "set": "made",
				"name": "none", "outcome": "allowed", "authority": "none", "part": "1", "query": "none", "platform": "ios", "room": "signin", "page": "none", "sample": "none", "topic": "none", "guide": "none", "app": "microsoft", "slug": "none", "receipt": "none", "store": "ios", "number": "1",
			}
			creds, err := tx.Credentials(p.Realm, p.ID)
			if err != nil {
				return err
			}
			for _, c := range creds {
				v["credential"] = c.ID
			}
			sessions, err := tx.Sessions(p.Realm, p.ID)
			if err != nil {
				return err
			}
			for _, s := range sessions {
				v["session"] = s.ID
			}
			events, err := tx.Events(audit.Query{Realm: p.Realm, Person: p.ID, Limit: 100})
			if err != nil {
				return err
			}
			for _, e := range events {
				if e.Flow != "" {
					v["flow"] = e.Flow
				}
			}
			out = append(out, v)
		}
		return nil
	})
	return out
}

// leaks asks every route with the other organization's ids, as everybody who has no business there, and reports what was
// shown or changed. Forms carry what they could need, so that a guard is what stops them and not a missing field.
func (w *town) leaks(t *testing.T, routes []rig.Route) []string {
	t.Helper()
	strangers := []struct {
		name    string
		browser *walker.Client
	}{{"nobody", w.Browser("192.0.2.66")}, {"member of another organization", w.memberA.Browser}, {"administrator of another organization", w.adminA.Browser}}
	var found []string
	before := w.about()
	for _, route := range routes {
		if len(route.Params()) == 0 && route.Method != http.MethodGet {
			continue // nobody is named: it is about the caller
		}
		if strings.HasPrefix(route.Path, "/dev/") || strings.HasPrefix(route.Path, "/assets/") || strings.HasPrefix(route.Path, "/signout") {
			continue
		}
		for _, v := range w.values(t) {
			path, err := route.With(v)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range strangers {
				page, err := w.ask(s.browser, route.Method, path)
				if err != nil {
					t.Fatalf("%s: %v", route, err)
				}
				for _, m := range marks {
					if strings.Contains(string(page.Body), m) {
						found = append(found, fmt.Sprintf("%s shows %q to %s", route, m, s.name))
						break
					}
				}
				if page.Status >= 500 {
					found = append(found, fmt.Sprintf("%s answers %d to %s", route, page.Status, s.name))
				}
			}
			if after := w.about(); after != before {
				found = append(found, fmt.Sprintf("%s lets somebody change the other organization:\n%s\n%s", route, before, after))
				before = after
			}
		}
	}
	return found
}

func (w *town) ask(c *walker.Client, method, path string) (*walker.Page, error) {
	if method == http.MethodGet {
		return c.Get(rig.Origin + path)
	}
	return c.Submit(&walker.Form{Action: rig.Origin + path, Method: method, Values: url.Values{
		"name": {"Taken over"}, "reason": {"because it has to be"}, "reason-refuse": {"because it has to be"}, "reason-answer": {"because it has to be"}, "version": {"0"},
		"kinds": {"totp"}, "channel": {"phone"}, "rule": {"call-back"}, "result-call-back": {"passed"}, "note-call-back": {"called"}, "confirm": {"yes"}, "password": {rig.Password}, "code": {"123456"}, "kind": {"password"}, "topic": {"news"},
		"device": {"Laptop"}, "target": {"windows"}, "contact": {w.agent.Is.ID}, "why": {"cessation"}, "typed": {"Moritz Birkenfeld"}, "role": {"administrator"}, "language": {"en"}, "zone": {"UTC"}, "phone": {"+41 44 555 01 42"},
	}})
}

func routes(t *testing.T) []rig.Route {
	t.Helper()
	all, err := rig.Routes("../..")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 30 {
		t.Fatalf("only %d routes found: %v", len(all), all)
	}
	return all
}

func TestREQ_B86_SEC_TIDOR_Z2_NoRouteReachesAnotherOrganization(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		w := newTown(t, s)
		for _, f := range w.leaks(t, routes(t)) {
			t.Error(f)
		}
	})
}

// everybodyIsOwner is what the house would be without the organization guard: whoever is signed in may do everything.
type everybodyIsOwner struct{ *login.Service }

func (e everybodyIsOwner) Authenticate(ctx context.Context, realm string, cookie secret.Text) (login.Signed, error) {
	s, err := e.Service.Authenticate(ctx, realm, cookie)
	s.Person.Role = directory.Owner
	s.Person.Organization = "elsewhere"
	return s, err
}

// The matrix must turn red when the guard is gone.
func TestREQ_B86_WithoutTheGuardTheMatrixIsRed(t *testing.T) {
	w := newTown(t, testdb.SQLite(t))
	w.Handler = w.Doors(everybodyIsOwner{w.Login})
	found := w.leaks(t, routes(t))
	if !slices.ContainsFunc(found, func(f string) bool { return strings.Contains(f, "shows") }) ||
		!slices.ContainsFunc(found, func(f string) bool { return strings.Contains(f, "change") }) {
		t.Errorf("without a guard the matrix finds only %q", found)
	}
}

// Another organization's person and nobody at all get the same answer, byte for byte.
func TestSEC_Z3_ForeignIsLikeMissing(t *testing.T) {
	w := newTown(t, testdb.SQLite(t))
	const missing = "01890a5d-ac96-774b-bcce-b302099a8057"
	for _, route := range routes(t) {
		theirs, name := w.memberB.Is.ID, "{person}"
		if slices.Contains(route.Params(), "request") {
			theirs, name = w.requestsB[w.memberB.Is.ID], "{request}"
		}
		if !strings.Contains(route.Path, name) {
			continue
		}
		foreign := strings.ReplaceAll(route.Path, name, theirs)
		absent := strings.ReplaceAll(route.Path, name, missing)
		a, err := w.ask(w.adminA.Browser, route.Method, foreign)
		if err != nil {
			t.Fatal(err)
		}
		b, err := w.ask(w.adminA.Browser, route.Method, absent)
		if err != nil {
			t.Fatal(err)
		}
		if a.Status != b.Status || strings.ReplaceAll(string(a.Body), theirs, missing) != string(b.Body) {
			t.Errorf("%s: another organization's person gives %d, nobody gives %d", route, a.Status, b.Status)
		}
		own, err := w.ask(w.adminA.Browser, http.MethodGet, "/console/people/"+w.memberA.Is.ID)
		if err != nil || own.Status != http.StatusOK || !strings.Contains(string(own.Body), "Max Alder") {
			t.Fatalf("an administrator does not reach their own people: %v %v", own, err)
		}
	}
}
