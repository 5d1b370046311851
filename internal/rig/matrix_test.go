package rig_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"doorward/internal/directory"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// acts is what each route of the console about a person does to them. Together with the table of package directory, which
// is compared cell by cell there, it says for every role and every relation what a route answers.
var acts = map[string]directory.Act{
	"GET /console/people/{person}":                directory.See,
	"POST /console/people/{person}/resend":        directory.Invite,
	"GET /console/people/{person}/withdraw":       directory.Withdraw,
	"POST /console/people/{person}/withdraw":      directory.Withdraw,
	"GET /console/people/{person}/reset":          directory.ResetFactor,
	"POST /console/people/{person}/reset":         directory.ResetFactor,
	"GET /console/people/{person}/disable":        directory.Disable,
	"POST /console/people/{person}/disable":       directory.Disable,
	"GET /console/people/{person}/enable":         directory.Disable,
	"POST /console/people/{person}/enable":        directory.Disable,
	"GET /console/people/{person}/sessions":       directory.EndSessions,
	"POST /console/people/{person}/sessions":      directory.EndSessions,
	"GET /console/people/{person}/suspend":        directory.ResetFactor,
	"POST /console/people/{person}/suspend":       directory.ResetFactor,
	"GET /console/people/{person}/edit":           directory.Edit,
	"POST /console/people/{person}/edit":          directory.Edit,
	"GET /console/people/{person}/role":           directory.AssignRole,
	"POST /console/people/{person}/role":          directory.AssignRole,
	"GET /console/people/{person}/exempt":         directory.Exempt,
	"POST /console/people/{person}/exempt":        directory.Exempt,
	"POST /console/people/{person}/exempt/second": directory.Exempt,
	"POST /console/people/{person}/exempt/end":    directory.ResetFactor,

	"GET /console/people/{person}/certificates/issue":  directory.Certify,
	"POST /console/people/{person}/certificates/issue": directory.Certify,

	"GET /console/people/{person}/managed":  directory.Certify,
	"POST /console/people/{person}/managed": directory.Certify,

	"GET /console/people/{person}/delete":  directory.Delete,
	"POST /console/people/{person}/delete": directory.Delete,
}

// always are pages that whoever may do the act gets whatever state the person is in.
var always = []string{"", "/reset", "/disable", "/edit", "/role", "/delete"}

// square is everybody of a town, and one of another realm, with the verdicts that are expected.
type square struct {
	*town
	people map[string]*rig.Somebody
	table  []directory.Rule // as written, whatever the test does to the table meanwhile
}

func newSquare(t *testing.T) *square {
	t.Helper()
	return newSquareOn(t, testdb.SQLite(t))
}

func newSquareOn(t *testing.T, store *sqlstore.Store) *square {
	t.Helper()
	w := newTown(t, store)
	s := &square{town: w, table: slices.Clone(directory.Rules), people: map[string]*rig.Somebody{
		"member": w.memberA, "administrator": w.adminA, "member elsewhere": w.memberB, "administrator elsewhere": w.adminB,
		"agent": w.agent, "supervisor": w.supervisor, "auditor": w.auditor, "owner": w.owner,
	}}
	foreign := directory.Person{ID: "01890a5d-ac96-774b-bcce-b302099a8058", Realm: "elsewhere", Name: "Frieda Foreign", Address: "frieda@elsewhere.example", Role: directory.Member, State: directory.Active, Language: "en", Created: w.Clock.Now()}
	w.Write(func(tx *sqlstore.Tx) error {
		realm := w.Realm.Realm
		realm.ID, realm.Host, realm.Origin, realm.Version = "elsewhere", "elsewhere.localhost", "https://elsewhere.localhost", 0
		if err := tx.PutRealm(realm); err != nil {
			return err
		}
		org := directory.Organization{ID: "01890a5d-ac96-774b-bcce-b302099a8059", Realm: "elsewhere", Name: "Elsewhere", State: directory.Active, Created: w.Clock.Now()}
		if err := tx.AddOrganization(org); err != nil {
			return err
		}
		foreign.Organization = org.ID
		return tx.AddPerson(foreign)
	})
	s.people["somebody of another realm"] = &rig.Somebody{Is: foreign}
	s.people["nobody"] = &rig.Somebody{Is: directory.Person{ID: "01890a5d-ac96-774b-bcce-b302099a8057", Realm: "nowhere"}}
	return s
}

// verdict is what the table as written says: 0 where the act may be done, else the status of the refusal.
func (s *square) verdict(actor directory.Person, act directory.Act, whom directory.Person) int {
	may := func(act directory.Act) bool {
		as := directory.Relate(actor, whom)
		return slices.ContainsFunc(s.table, func(r directory.Rule) bool {
			return r.As == as && slices.Contains(r.By, actor.Role) && slices.Contains(r.Acts, act) && slices.Contains(r.To, whom.Role)
		})
	}
	switch {
	case actor.Realm != whom.Realm || !may(directory.See):
		return http.StatusNotFound
	case !may(act) || actor.Role == directory.Member: // members see names of administrators, and nobody's page
		return http.StatusForbidden
	}
	return 0
}

// state is what could be seen of an act on somebody.
func (s *square) state(whom *rig.Somebody) (out string) {
	s.Read(func(tx *sqlstore.Tx) error {
		p, err := tx.Person(whom.Is.Realm, whom.Is.ID)
		if err != nil {
			out = "missing"
			return nil
		}
		live, err := tx.HelpRequestsLive(p.Realm, p.ID)
		if err != nil {
			return err
		}
		sessions, err := tx.Sessions(p.Realm, p.ID)
		out = fmt.Sprintf("%s %s %s %s %d %d", p.Name, p.Role, p.State, p.Address, len(live), len(sessions))
		return err
	})
	return out
}

// wrong asks every route about everybody as everybody and reports where the answer is not the verdict. What is refused is
// asked with all that the form needs, and with ids of somebody the actor may reach in the query and the body. One wrong
// answer is enough unless all are wanted.
func (s *square) wrong(t *testing.T, all bool) (found []string, asked int) {
	t.Helper()
	for _, route := range s.Registry() {
		if !slices.Equal(route.Params(), []string{"person"}) {
			continue
		}
		act, ok := acts[route.String()]
		if !ok {
			t.Errorf("unlisted route: %s. Say in matrix_test.go which act it is.", route)
			continue
		}
		for who, actor := range s.people {
			if actor.Browser == nil {
				continue
			}
			for name, whom := range s.people {
				want := s.verdict(actor.Is, act, whom.Is)
				if want == 0 && (route.Method != http.MethodGet || !slices.Contains(always, strings.TrimPrefix(route.Path, "/console/people/{person}"))) {
					continue // what may be done is done in other tests
				}
				path, err := route.With(map[string]string{"person": whom.Is.ID})
				if err != nil {
					t.Fatal(err)
				}
				if len(found) > 0 && !all {
					return found, asked
				}
				before := s.state(whom)
				page, err := s.as(actor.Browser, route.Method, path, s.memberA.Is.ID)
				if err != nil {
					t.Fatal(err)
				}
				asked++
				refused := page.Status == want || want == http.StatusForbidden && page.Status == http.StatusNotFound // whom they see anyway
				if want == 0 && page.Status != http.StatusOK || want != 0 && !refused {
					found = append(found, fmt.Sprintf("%s, %s to %s: %d, and the table says %d", route, who, name, page.Status, want))
				}
				if after := s.state(whom); want != 0 && after != before {
					found = append(found, fmt.Sprintf("%s, %s to %s: %s became %s", route, who, name, before, after))
				}
			}
		}
	}
	return found, asked
}

// as sends what a form could hold, and the id of somebody else everywhere but in the path.
func (s *square) as(c *walker.Client, method, path, other string) (*walker.Page, error) {
	path += "?person=" + other + "&id=" + other
	if method == http.MethodGet {
		return c.Get(rig.Origin + path)
	}
	return c.Submit(&walker.Form{Action: rig.Origin + path, Method: method, Values: url.Values{
		"person": {other}, "id": {other}, "ticket": {""}, "reason": {"because it has to be"}, "kinds": {"totp"}, "channel": {"phone"}, "name": {"Taken Over"}, "language": {"en"},
		"role": {"member"}, "version": {"0", "1", "2", "3"}, "typed": {"Taken Over"}, "phone": {""}, "confirm": {"yes"},
	}})
}

// Every role, in every relation, gets from every route about a person what the table says: like a missing one for whom
// they may not see, a refusal for what they may not do, and nothing has changed; whatever ids stand in the query and the body.
func TestREQ_B86_SEC_Z2_EveryRoleAndRelationGetsWhatTheTableSays(t *testing.T) {
	s := newSquare(t)
	found, asked := s.wrong(t, true)
	for _, f := range found {
		t.Error(f)
	}
	if t.Logf("%d questions", asked); asked < 800 {
		t.Error("this proves little")
	}
}

// A row that is widened, or a role that is let through, turns the matrix red.
func TestSEC_Z2_AWidenedTableTurnsTheMatrixRed(t *testing.T) {
	rules := directory.Rules
	defer func() { directory.Rules = rules }()
	s := newSquare(t)
	for _, more := range []directory.Rule{
		{By: []directory.Role{directory.Auditor}, Acts: []directory.Act{directory.Disable}, As: directory.Customer, To: []directory.Role{directory.Member}},
		{By: []directory.Role{directory.Administrator}, Acts: []directory.Act{directory.See}, As: directory.Customer, To: []directory.Role{directory.Member}},
		{By: []directory.Role{directory.Agent}, Acts: []directory.Act{directory.ResetFactor}, As: directory.Colleague, To: []directory.Role{directory.Owner}},
	} {
		directory.Rules = append(slices.Clone(rules), more)
		if found, _ := s.wrong(t, false); len(found) == 0 {
			t.Errorf("%v: nothing is noticed", more)
		}
	}
}

// Whoever invites never sees the secret of an invitation: not on any page, not in any mail but the one to whom it is for.
func TestREQ_B45_SEC_TADM_AnInvitersPagesAndMailsHoldNoSecret(t *testing.T) {
	w := newTown(t, testdb.SQLite(t))
	w.Deliver()
	page, err := w.adminB.Browser.Submit(&walker.Form{Action: rig.Origin + "/console/people/invite", Method: http.MethodPost, Values: url.Values{
		"email": {"nora@birkenfeld.example"}, "name": {"Nora Birkenfeld"}, "role": {"member"}, "language": {"en"},
	}})
	if err != nil || page.Status != http.StatusOK {
		t.Fatalf("%v %v", err, page.Main())
	}
	pages := map[string]string{"the answer": string(page.Body)}
	var invited, token, typed string
	letters := w.Deliver()
	for _, l := range letters {
		if l.To == "nora@birkenfeld.example" {
			invited, token, typed = l.Person, l.Args["link"][strings.LastIndex(l.Args["link"], "/")+1:], l.Args["code"]
		}
	}
	if len(token) < 16 || len(typed) < 16 {
		t.Fatal("nobody was invited")
	}
	for _, l := range letters {
		if l.Person != invited {
			pages["the mail "+l.Template] = l.Text
		}
	}
	for _, route := range w.Registry() {
		if route.Method != http.MethodGet || !strings.HasPrefix(route.Path, "/console") && !strings.HasPrefix(route.Path, "/account") {
			continue
		}
		values := w.values(t)[2]
		values["person"] = invited
		path, err := route.With(values)
		if err != nil {
			continue // about something else than a person
		}
		for name, s := range map[string]*rig.Somebody{"inviter": w.adminB, "owner": w.owner, "agent": w.agent} {
			page, err := s.Browser.Get(rig.Origin + path)
			if err != nil {
				t.Fatal(err)
			}
			pages[route.String()+" to the "+name] = string(page.Body)
		}
	}
	if len(pages) < 60 {
		t.Errorf("only %d pages", len(pages))
	}
	for where, text := range pages {
		for _, s := range []string{token, typed, strings.ReplaceAll(typed, "-", "")} {
			if strings.Contains(text, s) {
				t.Errorf("%s holds the secret of an invitation", where)
			}
		}
	}
}

// writes are the routes that write although they are only read, with the tables: none of them holds anything of an account.
var writes = map[string][]string{
	"GET /oauth2/authorize": {"attempt"},                    // counts the questions of a network
	"GET /oauth2/jwks":      {"epoch", "event", "oidc_key"}, // whoever asks first has the realm's first key made
}

// letters are the addresses in the mails that wait.
var letters = regexp.MustCompile(`https://[^\s<>")]+`)

// Looking changes nothing: every page, asked for by everybody with the ids of people that are there, and every link in every
// mail, leaves each row of each table as it was. The search for ways in (recoverymatrix) rests on it, and so do scanners of mail.
func TestSEC_Z2_LookingChangesNothing(t *testing.T) {
	dsn := testdb.SQLiteAddress(t)
	s := newSquareOn(t, testdb.Open(t, dsn))
	rows := testdb.OpenRows(t, dsn)
	if _, err := s.as(s.adminA.Browser, http.MethodPost, "/console/people/"+s.memberA.Is.ID+"/reset", ""); err != nil {
		t.Fatal(err)
	}
	for who, actor := range s.people { // a session notes when it was last seen, and no more than that
		if actor.Browser == nil {
			continue
		}
		if _, err := actor.Browser.Get(rig.Origin + "/account"); err != nil {
			t.Fatalf("%s: %v", who, err)
		}
	}
	at := map[string]bool{}
	for _, l := range s.Deliver() {
		for _, link := range letters.FindAllString(l.Text, -1) {
			at[link] = true
		}
	}
	looked, before := 0, rows.Take()
	unchanged := func(what string) {
		after := rows.Take()
		for name, changed := range before.Changed(after) {
			if !slices.Contains(writes[what], name) {
				t.Errorf("%s changed %s: %s", what, name, strings.Join(changed, "\n"))
			}
		}
		before = after
	}
	for _, route := range s.Registry() {
		if route.Method != http.MethodGet {
			continue
		}
		path, err := route.With(s.values(t)[1])
		if err != nil {
			t.Error(err)
			continue
		}
		for who, actor := range s.people {
			if actor.Browser == nil {
				continue
			}
			if _, err := actor.Browser.Get(rig.Origin + path); err != nil {
				t.Fatalf("%s as %s: %v", route, who, err)
			}
			looked++
		}
		unchanged(route.String())
	}
	kinds := map[string]bool{}
	for link := range at {
		if !strings.HasPrefix(link, rig.Origin+"/") {
			continue
		}
		if _, err := s.Browser("192.0.2.77").Get(link); err != nil {
			t.Fatalf("%s: %v", link, err)
		}
		kind := strings.Split(link, "/")[3]
		kinds[kind] = true
		unchanged("a link of " + kind)
	}
	t.Logf("%d pages, %d links of %v", looked, len(at), slices.Sorted(maps.Keys(kinds)))
	for _, kind := range []string{"link", "not-me", "requests"} {
		if !kinds[kind] {
			t.Errorf("no letter has a link of the kind %s", kind)
		}
	}
	if looked < 500 || len(at) < 5 {
		t.Errorf("%d pages and %d links were looked at", looked, len(at))
	}
}
