package authn

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"doorward/internal/fault"
)

func parse(t testing.TB, lines ...string) Rules {
	t.Helper()
	p, err := ParsePolicies("members\n" + strings.Join(lines, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return p.Rules(Members)
}

func TestTrapMailboxBindsPasswordThroughTheOtherCombination(t *testing.T) {
	r := text(t, "shop").Rules(Members)
	// Through password + phone nothing remains of who holds password + totp. That must not count as "nothing to show".
	for _, held := range []string{"password totp", "password phone", "password totp phone", "password passkey", "totp passkey"} {
		w := world{rules: r, ever: true, held: kindset(held), can: kindset("mail")}
		if got := explore(w, false); got.entered || got.bound != 0 || got.states == 0 {
			t.Errorf("who holds %s: a mailbox bound %v, entered %v", held, got.bound.kinds(), got.entered)
		}
		w.can |= kindset("totp phone passkey")
		if got := explore(w, false); !got.bound.has(Password) {
			t.Errorf("who holds %s cannot replace a forgotten password", held)
		}
	}
}

func TestTrapPasskeyRuleLetsAMailboxIn(t *testing.T) {
	r := parse(t, "login passkey | password + totp", "replace mail -> passkey, password", "replace grant2 + mail -> any")
	for _, held := range []string{"passkey", "password totp passkey", "passkey password"} {
		w := world{rules: r, ever: true, held: kindset(held), can: kindset("mail")}
		if got := explore(w, false); got.entered || got.bound != 0 {
			t.Errorf("who holds %s: a mailbox bound %v, entered %v", held, got.bound.kinds(), got.entered)
		}
	}
	p := &Policies{Blocks: []Block{{Audience: Members, Login: []Tier{{{Passkey}, {Password, TOTP}}}, Replace: r.Replace}}}
	if !slices.ContainsFunc(Check(p), func(p Problem) bool { return p.Flaw == Hole && strings.Contains(p.Words, "stand in for passkey") }) {
		t.Error("Check does not refuse the line")
	}
}

func TestTrapTwoResetsInARowLeaveNothing(t *testing.T) {
	for _, name := range shipped {
		r := text(t, name).Rules(Members)
		var grants []Grant
		for _, k := range loginKinds() {
			grants = append(grants, grantOf(1, k))
		}
		for _, held := range wholes(r) {
			w := world{rules: r, ever: true, held: held, ill: held & factors, can: kindset("mail call spoken"), grants: grants}
			if got := explore(w, false); got.entered || got.bound != 0 {
				t.Errorf("%s, who holds %v: single approvers for everything bound %v", name, held.kinds(), got.bound.kinds())
			}
		}
	}
}

func TestTrapOrganizationEnrolsMoreEasilyThanTheRealm(t *testing.T) {
	for _, line := range []string{"enrol mail -> passkey", "replace mail -> any", "login passkey\nreplace grant -> totp"} {
		if _, err := ParseOverlay(line); !fault.Of(err, fault.Invalid) {
			t.Errorf("%q: %v", line, err)
		}
	}
	// A stricter text narrows what counts as remaining. Whoever replaces the passkey has only cert to show under the
	// overlay, but password and totp under the realm: both must be shown.
	realm := parse(t, "login password + totp | passkey + cert", "replace grant + mail -> passkey")
	over, err := ParseOverlay("login passkey + cert")
	if err != nil {
		t.Fatal(err)
	}
	w := world{rules: Effective(realm, over), ever: true, held: kindset("password totp passkey cert"), can: kindset("mail cert"), known: true,
		grants: []Grant{grantOf(1, Passkey)}}
	if got := explore(w, false); got.bound != 0 {
		t.Errorf("the certificate alone bound %v", got.bound.kinds())
	}
	w.can = kindset("mail cert password totp")
	if got := explore(w, false); !got.entered {
		t.Error("who shows everything that remains has no way back")
	}
}

func TestTrapPasswordAskedTwiceUnderFresh(t *testing.T) {
	r := text(t, "shop").Rules(Members)
	for _, c := range []struct {
		name   string
		person Person
		start  Kind
		binds  Kind
		asks   int
	}{
		{"set-up", Person{ID: "p", Owed: []Duty{Terms}}, Invite, Password, 1},
		{"a set-up that is taken up again", Person{ID: "p", Held: holdings(setOf(Password))}, Invite, TOTP, 1},
		{"a reset", Person{ID: "p", EverActive: true, Held: holdings(setOf(Password, TOTP)), Grants: []Grant{grantOf(1, TOTP)}}, Password, TOTP, 0},
	} {
		f := Flow{ID: "f", Now: trial, Created: trial}
		p, step := c.person, Step{Act: ActProve, Kinds: []Kind{c.start}}
		asked, bound := 0, false
		for i := 0; step.Act != ActAdmit; i++ {
			if i > 12 || step.Act == ActStuck {
				t.Fatalf("%s ends in %s", c.name, show(step))
			}
			k := step.first()
			if i > 0 && step.Act == ActProve && k == Password {
				asked++
			}
			bound = bound || step.Act == ActBind && k == c.binds
			p, f = walk(step, k, p, f)
			f.Person = p.ID
			step = Next(r, p, f)
		}
		if asked != c.asks || !bound {
			t.Errorf("%s: the password was asked %d times, want %d; %s bound: %v", c.name, asked, c.asks, c.binds, bound)
		}
	}
}

func TestTrapLostButStillEnrolledPhoneLoops(t *testing.T) {
	for _, c := range []struct{ text, held string }{{"shop", "password phone"}, {"wealth", "cert password phone"}} {
		r := text(t, c.text).Rules(Members)
		p := Person{ID: "p", EverActive: true, Held: holdings(kindset(c.held)), Grants: []Grant{grantOf(1, Phone)}}
		f := Flow{ID: "f", Now: trial, Created: trial}
		step := Next(r, p, f)
		for i := 0; step.Act != ActAdmit; i++ {
			k := step.first()
			old := step.Act == ActProve && k == Phone && slices.ContainsFunc(p.Held, func(h Holding) bool { return h.Credential == "own phone" })
			if old || i > 10 || step.Act == ActStuck {
				t.Fatalf("%s: step %d is %s, the phone is gone", c.text, i+1, show(step))
			}
			p, f = walk(step, k, p, f)
			f.Person = p.ID
			step = Next(r, p, f)
		}
		// The request has served: the next sign-in is an ordinary one, and the phone is asked for.
		f = Flow{ID: "g", Person: p.ID, Session: "s", Now: trial, Created: trial}
		for step = Next(r, p, f); step.Act == ActProve; step = Next(r, p, f) {
			p, f = walk(step, step.first(), p, f)
		}
		if step.Act != ActAdmit || !slices.ContainsFunc(f.Evidence, func(e Evidence) bool { return e.Kind == Phone && !e.Bound }) {
			t.Errorf("%s: the next sign-in ends in %s with %v", c.text, show(step), f.Evidence)
		}
	}
}

func TestNextIsDeafToWhatIsNotInForce(t *testing.T) {
	p := Person{ID: "p", EverActive: true, Held: holdings(setOf(Password, TOTP))}
	f := Flow{ID: "f", Person: "p", Now: trial, Evidence: []Evidence{
		{Kind: Password, Credential: "own password", At: trial}, {Kind: TOTP, Credential: "own totp", At: trial}}}
	r := text(t, "shop").Rules(Members)
	if s := Next(r, p, f); s.Act != ActAdmit {
		t.Fatalf("got %s", show(s))
	}
	if s := Next(Rules{}, p, f); s.Act != ActStuck || s.Reason != NoWay {
		t.Errorf("rules that say nothing: %s", show(s))
	}
	if s := Next(Rules{Login: []Combination{{}, {Kinds: []Kind{Recovery}}, {Kinds: []Kind{"magic"}}, {Kinds: []Kind{Mail, Password}}}}, p, f); s.Act == ActAdmit {
		t.Errorf("combinations that prove nothing: %s", show(s))
	}
	if s := Next(Narrow(r, "urn:unheard"), p, f); s.Act != ActStuck {
		t.Errorf("a class that nothing reaches: %s", show(s))
	}
	if s := Next(Narrow(r, ACRPhishingResistant), p, f); s.Act == ActAdmit {
		t.Errorf("password and code are not phishing-resistant: %s", show(s))
	}
	for _, empty := range []Flow{{}, {Person: "p"}, {Person: "other", Session: "s", Evidence: f.Evidence}} {
		if s := Next(r, p, empty); s.Act != ActProve || !s.Accepts(ActProve, Password) || s.Accepts(ActBind, Password) {
			t.Errorf("anonymous: %s", show(s))
		}
	}
}

func TestPolicyErrorsAreFaults(t *testing.T) {
	_, err := ParsePolicies("members\n  login password +")
	var pe *PolicyError
	if !errors.As(err, &pe) || pe.Line != 2 || pe.Column != 19 {
		t.Errorf("got %v", err)
	}
	if f := fault.As(err); f == nil || f.Kind != fault.Invalid || f.Code != "policy-invalid" || f.Args["line"] != 2 {
		t.Errorf("got %v", f)
	}
}

// The call follows one certificate. Another one of the same person, shown after it, is no answer to the question for the first.
func TestTrapAnotherCertificateAfterTheCall(t *testing.T) {
	for _, name := range []string{"wealth", "wealth-interim"} {
		r := text(t, name).Rules(Members)
		p := Person{ID: "somebody", Held: []Holding{{Kind: Cert, Credential: "one"}, {Kind: Cert, Credential: "two"}}}
		f := Flow{ID: "flow", Person: p.ID, Created: trial, Now: trial}
		step := func(shown ...Evidence) string {
			f.Evidence = shown
			return show(Next(r, p, f))
		}
		one, two, call := Evidence{Kind: Cert, Credential: "one", At: trial}, Evidence{Kind: Cert, Credential: "two", At: trial}, Evidence{Kind: Call, At: trial}
		for _, c := range []struct {
			shown []Evidence
			want  string
		}{
			{[]Evidence{one}, "prove call"},
			{[]Evidence{one, call}, "prove cert"},
			{[]Evidence{one, call, two}, "prove cert"},
			{[]Evidence{two, one, call, two}, "prove cert"},
			{[]Evidence{one, call, two, one}, "bind " + string(r.Enrol[0].Kinds[0])},
			{[]Evidence{one, call, one, two}, "bind " + string(r.Enrol[0].Kinds[0])},
			{[]Evidence{call, one}, "prove call"},
		} {
			if got := step(c.shown...); got != c.want {
				t.Errorf("%s: %v leads to %s, want %s", name, c.shown, got, c.want)
			}
		}
	}
}

// An authenticator stands for the phone behind the call only where a combination asks for it beside a certificate.
func TestTrapTheCallFollowsAnAuthenticatorThatStandsAlone(t *testing.T) {
	for _, c := range []struct {
		login string
		bound set
	}{{"password + totp", 0}, {"cert + password | password + totp", 0}, {"cert + password + totp", setOf(Cert)}} {
		r := parse(t, "login "+c.login, "replace call -> cert")
		w := world{rules: r, ever: true, held: kindset("password totp"), can: kindset("password totp call")}
		if got := explore(w, false); got.bound != c.bound {
			t.Errorf("login %s: bound %v, want %v", c.login, got.bound.kinds(), c.bound.kinds())
		}
	}
}
