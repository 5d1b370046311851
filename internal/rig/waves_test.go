package rig_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/breakglass"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
	"doorward/internal/rig"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// exempter acts as somebody of the town.
func (w *town) exempter(t *testing.T, who *rig.Somebody) breakglass.By {
	t.Helper()
	by := w.By(t, who)
	return breakglass.By{Actor: by, Person: by.Person, Realm: by.Realm.Realm}
}

// By is somebody as the use cases see them.
func (w *town) By(t *testing.T, who *rig.Somebody) login.By {
	t.Helper()
	var by login.By
	w.Read(func(tx *sqlstore.Tx) (err error) {
		if by.Person, err = tx.Person(w.Realm.ID, who.Is.ID); err != nil {
			return err
		}
		by.Organization, err = tx.Organization(w.Realm.ID, by.Person.Organization)
		return err
	})
	by.Realm = w.Realm
	return by
}

func TestREQ_B65_TwoOfStaffExemptAMember(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		w := newTown(t, s)
		ctx := t.Context()
		in := breakglass.Proposal{Person: w.memberA.Is.ID, Kind: authn.TOTP, Hours: 24, Reason: "Phone left in a hotel, back on Friday"}
		super, owner := w.exempter(t, w.supervisor), w.exempter(t, w.owner)
		for who, by := range map[string]breakglass.By{"agent": w.exempter(t, w.agent), "auditor": w.exempter(t, w.auditor), "administrator": w.exempter(t, w.adminA), "the person": w.exempter(t, w.memberA), "another customer": w.exempter(t, w.adminB)} {
			if _, err := w.Exempts.Propose(ctx, by, in); !fault.Of(err, fault.Forbidden) && !fault.Of(err, fault.NotFound) {
				t.Errorf("%s proposed: %v", who, err)
			}
		}
		for name, c := range map[string]struct {
			in   breakglass.Proposal
			code string
		}{
			"no reason":          {breakglass.Proposal{Person: in.Person, Kind: in.Kind, Hours: 24, Reason: "lost"}, "reason-short"},
			"too long":           {breakglass.Proposal{Person: in.Person, Kind: in.Kind, Hours: 73, Reason: in.Reason}, "exemption-hours"},
			"no hours":           {breakglass.Proposal{Person: in.Person, Kind: in.Kind, Reason: in.Reason}, "exemption-hours"},
			"nothing would stay": {breakglass.Proposal{Person: in.Person, Kind: authn.Password, Hours: 1, Reason: in.Reason}, "exemption-kind"},
			"an administrator":   {breakglass.Proposal{Person: w.adminA.Is.ID, Kind: in.Kind, Hours: 1, Reason: in.Reason}, "not-allowed"},
			"staff":              {breakglass.Proposal{Person: w.agent.Is.ID, Kind: in.Kind, Hours: 1, Reason: in.Reason}, "not-allowed"},
		} {
			if _, err := w.Exempts.Propose(ctx, super, c.in); fault.As(err) == nil || fault.As(err).Code != c.code {
				t.Errorf("%s: %v", name, err)
			}
		}
		e, err := w.Exempts.Propose(ctx, super, in)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Exempts.Propose(ctx, owner, in); !fault.Of(err, fault.Exists) {
			t.Errorf("proposed twice: %v", err)
		}
		// One person cannot be both; of many who second at once, one does.
		if _, err := w.Exempts.Second(ctx, super, in.Person, e.ID); !fault.Of(err, fault.Forbidden) {
			t.Errorf("seconded by who proposed: %v", err)
		}
		won := atOnce(64, func(i int) bool {
			by := owner
			if i%2 == 0 {
				by = super
			}
			_, err := w.Exempts.Second(ctx, by, in.Person, e.ID)
			return err == nil
		})
		if won != 1 {
			t.Errorf("%d seconded at once", won)
		}
		w.Clock.Advance(time.Second)
		if c, err := w.Exempts.Look(ctx, w.exempter(t, w.adminA), in.Person); err != nil || c.Exemption.State != helpdesk.Exempt || !c.MayEnd || c.MaySecond {
			t.Errorf("their administrator sees %+v, %v", c, err)
		}
		if _, err := w.Exempts.Look(ctx, w.exempter(t, w.adminB), in.Person); !fault.Of(err, fault.NotFound) {
			t.Errorf("another customer's administrator looks: %v", err)
		}
		// Ended by many at once, it ends once; another may follow.
		ended := atOnce(16, func(int) bool { return w.Exempts.End(ctx, w.exempter(t, w.adminA), in.Person, e.ID) == nil })
		if ended != 1 {
			t.Errorf("%d ended it at once", ended)
		}
		if e, err = w.Exempts.Propose(ctx, owner, in); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Exempts.Second(ctx, super, in.Person, e.ID); err != nil {
			t.Fatal(err)
		}
		if err := w.Exempts.EndOwn(ctx, w.exempter(t, w.memberA)); err != nil {
			t.Errorf("the person ends it: %v", err)
		}
		// What nobody seconds, and what runs out, is closed by itself, once.
		if _, err = w.Exempts.Propose(ctx, owner, in); err != nil {
			t.Fatal(err)
		}
		w.Clock.Advance(helpdesk.ProposedFor)
		for range 2 {
			if err := w.Exempts.Close(ctx, []*directory.Realm{&w.Realm.Realm}); err != nil {
				t.Fatal(err)
			}
		}
		if given, err := w.Exempts.Live(ctx, super); err != nil || len(given) != 0 {
			t.Errorf("%v, %v", given, err)
		}
	})
}

func atOnce(n int, do func(i int) bool) (won int) {
	results := make(chan bool, n)
	start := make(chan struct{})
	for i := range n {
		go func() { <-start; results <- do(i) }()
	}
	close(start)
	for range n {
		if <-results {
			won++
		}
	}
	return won
}

// The pages: a wave is seen by who looks after people, and by nobody else; an exemption is shown where it matters.
func TestREQ_B84_PagesOfWavesAndExemptions(t *testing.T) {
	s := testdb.SQLite(t)
	w := newTown(t, s)
	now := w.Clock.Now()
	w.Realm.Rollouts = []directory.Rollout{{
		ID: "passkeys", Name: directory.Localized{"en": "Passkeys for everybody"}, About: directory.Localized{"en": "You sign in with a passkey."}, Policy: "login passkey",
		Waves: []directory.Wave{{Organizations: []string{directory.Everywhere}, From: now.Add(-time.Hour), Until: now.Add(48 * time.Hour)}},
	}}
	says := func(who *rig.Somebody, path string, status int, want string, not string) {
		t.Helper()
		p, err := who.Browser.Get(rig.Origin + path)
		if err != nil {
			t.Fatal(err)
		}
		if p.Status != status || !strings.Contains(p.Main(), want) || not != "" && strings.Contains(p.Main(), not) {
			t.Errorf("%s to %s: %d\n%s", path, who.Is.Name, p.Status, p.Main())
		}
	}
	says(w.agent, "/console/rollouts", http.StatusOK, "Birkenfeld Optik", "")
	says(w.adminA, "/console/rollouts", http.StatusOK, "Alder Works", "Birkenfeld")
	says(w.memberA, "/console/rollouts", http.StatusForbidden, "", "Alder Works")
	says(w.adminA, "/console/rollouts?rollout=passkeys&organization="+w.adminA.Is.Organization, http.StatusOK, "Max Alder", "Birkenfeld")
	says(w.adminA, "/console/rollouts?rollout=passkeys&organization="+w.adminB.Is.Organization, http.StatusNotFound, "", "Birkenfeld")
	says(w.memberA, "/account", http.StatusOK, "Passkeys for everybody", "")
	says(w.memberA, "/console/exemptions", http.StatusForbidden, "", "")
	says(w.supervisor, "/console/people/"+w.memberA.Is.ID, http.StatusOK, "Let sign in without one step", "")
	says(w.agent, "/console/people/"+w.memberA.Is.ID+"/exempt", http.StatusForbidden, "", "")
	if _, err := w.Exempts.Propose(t.Context(), w.exempter(t, w.supervisor), breakglass.Proposal{Person: w.memberA.Is.ID, Kind: authn.TOTP, Hours: 2, Reason: "Phone left in a hotel, back on Friday"}); err != nil {
		t.Fatal(err)
	}
	says(w.owner, "/console/exemptions", http.StatusOK, "Agree: it begins now", "")
	says(w.supervisor, "/console/exemptions", http.StatusOK, "Max Alder", "Agree: it begins now")
	p, err := w.owner.Browser.Get(rig.Origin + "/console/exemptions")
	if err != nil {
		t.Fatal(err)
	}
	if p, err = w.owner.Browser.Submit(p.FormTo("/exempt/second")); err != nil || p.Status != http.StatusOK {
		t.Fatalf("seconded on the page: %v\n%s", err, p.Main())
	}
	says(w.adminA, "/console/exemptions", http.StatusOK, "Max Alder", "Agree")
	says(w.adminB, "/console/exemptions", http.StatusOK, "Everybody signs in with every step", "Alder")
	says(w.adminA, "/console/people", http.StatusOK, "Exempt for a time", "")
	says(w.agent, "/console/people/"+w.memberA.Is.ID, http.StatusOK, "Signs in without one step", "")
	says(w.memberA, "/account", http.StatusOK, "You sign in without one step until", "")
}
