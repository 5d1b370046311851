package authn

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "line 1, column 1: the text says nothing about members"},
		{"login password", `line 1, column 1: expected members, found "login"`},
		{"members", "line 1, column 1: members need a login line"},
		{"staff\nlogin passkey", "line 1, column 1: members must come first: what staff do not say is as for members"},
		{"members\nlogin passkey\nmembers", "line 3, column 1: members were described on line 1 already"},
		{"policy a\npolicy b", "line 2, column 1: a realm's text holds one policy, named before everything else"},
		{"policy", "line 1, column 7: a policy needs a name"},
		{"policy a b", `line 1, column 10: expected the end of the line, found "b"`},
		{"members\nlogin otp", `line 2, column 7: expected a kind (cert, password, totp, phone, passkey), found "otp"`},
		{"members\nlogin recovery", `line 2, column 7: expected a kind (cert, password, totp, phone, passkey), found "recovery"`},
		{"members\nlogin password + mail", `line 2, column 18: expected a kind (cert, password, totp, phone, passkey), found "mail"`},
		{"members\nlogin password + password", `line 2, column 18: "password" is there twice`},
		{"members\nlogin password + totp | totp + password", "line 2, column 25: totp + password is there twice"},
		{"members\nlogin password ->", `line 2, column 16: expected +, |, else or the end of the line, found "->"`},
		{"members\nlogin passkey\nlogin passkey", "line 3, column 1: a second login line; join combinations with | or else"},
		{"members\nlogin passkey\nenroll mail -> totp", "line 3, column 1: it is spelled enrol"},
		{"members\nlogin passkey\nenrol mail -> any", "line 3, column 15: enrol names its kinds, in the order in which they are set up"},
		{"members\nlogin passkey\nenrol mail totp", `line 3, column 12: expected +, | or ->, found "totp"`},
		{"members\nlogin passkey\nenrol mail -> mail", `line 3, column 15: expected a kind (cert, password, totp, phone, passkey, recovery), found "mail"`},
		{"members\nlogin passkey\nenrol -> totp", `line 3, column 7: expected a gate (invite, mail, login, recovery, grant, grant2, call, spoken, cert, password, totp, phone, passkey), found "->"`},
		{"members\nlogin passkey\nreplace grant -> any, totp", `line 3, column 21: expected the end of the line, found ","`},
		{"members\nlogin passkey\nfresh now", `line 3, column 7: expected the end of the line, found "now"`},
		{"members\nlogin passkey\nthen lunch", `line 3, column 6: expected a duty (terms, preferences), found "lunch"`},
		{"members\nlogin päss", `line 2, column 8: "ä" means nothing here`},
		{"members\nlogin \x00", "line 2, column 7: an unreadable character"},
		{"members\nlogin passkey # \xff any comment\nbogus", `line 3, column 1: expected login, enrol, replace, fresh, then or an audience, found "bogus"`},
	} {
		_, err := ParsePolicies(c.text)
		if err == nil || err.Error() != c.want {
			t.Errorf("%q:\n got %v\nwant %s", c.text, err, c.want)
		}
	}
	for _, c := range []struct{ text, want string }{
		{"members", `line 1, column 1: expected login, then or fresh, found "members"`},
		{"login passkey\nenrol login -> passkey", "line 2, column 1: only the realm's own policy may hold enrol lines; here stand login, then and fresh"},
	} {
		if _, err := ParseOverlay(c.text); err == nil || err.Error() != c.want {
			t.Errorf("%q: got %v", c.text, err)
		}
	}
}

func TestInheritanceIsKeywordByKeyword(t *testing.T) {
	p := text(t, "shop")
	members, admins, staff := p.Rules(Members), p.Rules(Administrators), p.Rules(Staff)
	if fmt.Sprint(admins.Replace) != fmt.Sprint(members.Replace) || fmt.Sprint(admins.Then) != fmt.Sprint(members.Then) || !admins.Fresh {
		t.Error("administrators do not inherit")
	}
	if len(staff.Replace) != 1 || !staff.Fresh || len(staff.Then) != 2 {
		t.Errorf("staff: %v", staff)
	}
	if len(admins.Login) != 3 || len(admins.Login[0].Unless) != 0 || len(admins.Login[2].Unless) != 1 {
		t.Errorf("else became %v", admins.Login)
	}
	bare, err := ParsePolicies("members\nlogin passkey")
	if err != nil || bare.Name != "" || len(bare.Rules(Staff).Login) != 1 {
		t.Errorf("audience blocks alone: %v, %v", bare, err)
	}
}

func combos(r Rules) string {
	var s []string
	for _, c := range r.Login {
		w := join(setOf(c.Kinds...).kinds(), "+")
		for _, u := range c.Unless {
			w += " unless " + join(u, "+")
		}
		s = append(s, w)
	}
	return strings.Join(s, ", ")
}

func TestREQ_A2_SeveralPoliciesBecomeOne(t *testing.T) {
	for _, c := range []struct{ realm, over, want string }{
		{"login password + totp | passkey", "", "password+totp, passkey"},
		{"login password + totp | passkey", "fresh", "password+totp, passkey"},
		{"login password + totp | password + phone | passkey", "login passkey", "passkey"},
		{"login password + totp | password + phone", "login cert", "cert+password+totp, cert+password+phone"},
		{"login cert + password + phone", "login password | passkey", "cert+password+phone"},
		{"login password + totp", "login passkey else password", "password+totp+passkey, password+totp unless passkey"},
		{"login passkey else password + totp", "login cert", "cert+passkey, cert+password+totp unless passkey"},
		{"login passkey else password + totp", "login password + totp", "password+totp+passkey, password+totp unless passkey"},
		{"login passkey else password + totp", "login passkey else password", "passkey, password+totp unless passkey unless passkey"},
	} {
		over, err := ParseOverlay(c.over)
		if err != nil {
			t.Fatal(err)
		}
		got := Effective(parse(t, c.realm), over)
		if combos(got) != c.want {
			t.Errorf("%s over %s:\n got %s\nwant %s", c.over, c.realm, combos(got), c.want)
		}
		if got.Fresh != (over.Fresh) {
			t.Errorf("%s: fresh is %v", c.over, got.Fresh)
		}
	}
	over, _ := ParseOverlay("then preferences, terms")
	if got := Effective(parse(t, "login passkey", "then terms"), over).Then; !slices.Equal(got, []Duty{Terms, Preferences}) {
		t.Errorf("duties: %v", got)
	}
}

func TestREQ_A8_ClassesReached(t *testing.T) {
	for _, c := range []struct{ kinds, want string }{
		{"", ""},
		{"password", ""},
		{"totp phone cert", ""},
		{"password recovery mail", ""},
		{"password totp", "urn:doorward:acr:mfa"},
		{"password cert", "urn:doorward:acr:mfa phr"},
		{"cert password phone", "urn:doorward:acr:mfa urn:doorward:acr:3fa phr"},
		{"passkey", "urn:doorward:acr:mfa phr phrh"},
	} {
		if got := strings.Join(Reaches(named(c.kinds)), " "); got != c.want {
			t.Errorf("%s reaches %q, want %q", c.kinds, got, c.want)
		}
	}
	r := text(t, "shop").Rules(Administrators)
	if got := combos(Narrow(r, ACRHardware, ACRThreeFactor)); got != "passkey" {
		t.Errorf("narrowed to %s", got)
	}
	if got := combos(Narrow(r)); got != combos(r) {
		t.Errorf("nothing asked: %s", got)
	}
}

func TestCheckFindsNothingInTheShippedTexts(t *testing.T) {
	for _, name := range shipped {
		for _, p := range Check(text(t, name)) {
			t.Errorf("%s: %s", name, p)
		}
	}
}

// sane is a text without problems; the cases below spoil it.
const sane = `members
login password + totp | passkey
enrol invite -> password, totp, passkey
enrol login -> totp, passkey, recovery
replace mail -> password
replace recovery | grant + mail -> totp, passkey
replace grant2 + mail + spoken -> any
`

func TestCheck(t *testing.T) {
	if p, err := ParsePolicies(sane); err != nil || len(Check(p)) > 0 {
		t.Fatalf("%v %v", err, Check(p))
	}
	for _, c := range []struct{ old, new, want string }{
		{"| passkey", "| totp", "line 2: members (hole): totp proves one thing only; a sign-in needs something known and something had"},
		{"| passkey", "| totp + cert", "line 2: members (hole): totp + cert proves one thing only"},
		{"| passkey", "| totp", "line 2: members (strands): totp names nobody"},
		{"| passkey", "| passkey + cert | passkey", "line 2: members (useless): passkey + cert is never needed, because passkey suffices"},
		{"| passkey", "else password + totp + passkey", "line 2: members (useless): password + totp + passkey is never needed"},
		{"| passkey", "| password + phone", "line 3: members (useless): passkey is in no combination"},
		{"enrol invite -> password, totp, passkey", "enrol password -> totp, passkey", "line 3: members (hole): enrol password: enrolling would be easier than signing in"},
		{"enrol invite -> password, totp, passkey", "enrol invite -> password", "line 3: members (strands): who is new can never finish the set-up"},
		{"enrol invite ->", "enrol call ->", "line 3: members (strands): enrol call: a call follows a certificate or phone"},
		{"enrol invite -> password", "enrol invite -> recovery, password", "line 3: members (hole): enrol invite: recovery codes are for who is signed in"},
		{"mail -> password", "mail -> totp", "line 5: members (hole): replace mail: the mailbox would stand in for totp"},
		{"mail -> password", "mail -> passkey", "line 5: members (hole): replace mail: the mailbox would stand in for passkey"},
		{"mail -> password", "password -> totp", "line 5: members (hole): replace password: nothing but what remains would be asked"},
		{"mail -> password", "spoken -> totp", "line 5: members (hole): replace spoken: nothing but what remains would be asked"},
		{"mail -> password", "invite -> password", "line 5: members (useless): replace invite: who was never active has nothing to replace"},
		{"recovery | grant + mail", "recovery | grant", "line 6: members (hole): replace grant: whoever approves would suffice"},
		{"recovery | grant + mail", "grant + mail", "line 4: members (useless): recovery codes open no replace line"},
		{", recovery\n", "\n", "line 6: members (useless): replace recovery: no enrol line lets anybody have recovery codes"},
		{"grant2 + mail + spoken", "grant + mail", "line 7: members (hole): replace grant + mail: any needs two approvers"},
		{"replace grant2 + mail + spoken -> any\n", "", "line 2: members (strands): who has password + totp and loses all of it has no way back"},
		{"replace grant2 + mail + spoken -> any\n", "", "line 2: members (strands): who has passkey and loses passkey has no way back"},
		{"login password + totp | passkey\n", "login passkey\n", "line 6: members (strands): replace recovery: nothing remains to be shown when passkey is gone"},
		{"+ spoken -> any\n", "+ spoken -> any\nadministrators\nlogin password + phone\n", "line 9: administrators (hole): password + phone is less than members need"},
		{"", "members\nlogin password + phone | passkey\nenrol invite -> password, passkey\n", "line 2: members (strands): no line lets anybody set up phone"},
	} {
		spoiled := c.new
		if c.old != "" {
			spoiled = strings.Replace(sane, c.old, c.new, 1)
		}
		p, err := ParsePolicies(spoiled)
		if err != nil {
			t.Fatalf("%s: %v", spoiled, err)
		}
		var got []string
		for _, problem := range Check(p) {
			got = append(got, problem.String())
		}
		if !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, c.want) }) {
			t.Errorf("%q for %q: want %s\ngot %s", c.new, c.old, c.want, strings.Join(got, "\n    "))
		}
	}
}

func TestStranded(t *testing.T) {
	for _, c := range []struct {
		text, held, shut string
		ever             bool
		over, never      string
		want             Reason
	}{
		{"shop", "password totp", "", true, "", "", ""},
		{"shop", "", "", false, "", "", ""},
		{"shop", "password", "", false, "", "", ""},
		{"shop", "password", "", true, "", "", NeedsGrant},
		{"shop", "", "", true, "", "", NeedsGrant2},
		{"shop", "password recovery", "", true, "", "", ""},
		{"shop", "password totp", "totp", true, "", "", FactorSuspended},
		{"shop", "password totp", "", true, "login passkey", "passkey", ""},   // enrols the passkey with what it has
		{"shop", "password totp", "", true, "login passkey", "", NeedsGrant2}, // had one, and it ended
		{"shop", "password", "", true, "login passkey", "", NeedsGrant2},      // nothing of what the stricter policy asks for remains
		{"wealth", "", "", false, "", "", NoWay},
		{"wealth", "cert", "", false, "", "", ""},
		{"wealth", "cert password", "", true, "", "", NeedsGrant},
		{"wealth", "password phone", "", true, "", "", ""},
	} {
		over, err := ParseOverlay(c.over)
		if err != nil {
			t.Fatal(err)
		}
		p := Person{EverActive: c.ever, Held: holdings(kindset(c.held)), Grants: []Grant{grantOf(2)}, Owed: []Duty{Terms}, Never: named(c.never)}
		for i := range p.Held {
			p.Held[i].Suspended = kindset(c.shut).has(p.Held[i].Kind)
		}
		got, stranded := Stranded(Effective(text(t, c.text).Rules(Members), over), p)
		if got != c.want || stranded != (c.want != "") {
			t.Errorf("%s %v over %q: %q, want %q", c.text, p.Held, c.over, got, c.want)
		}
	}
}

// FuzzParsePolicies: no text breaks the parser, the checker or the engine, and what parses prints to itself.
func FuzzParsePolicies(f *testing.F) {
	for _, name := range shipped {
		b, err := os.ReadFile("testdata/" + name + ".policy")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Add("login passkey else password + totp\nfresh\nthen terms")
	f.Fuzz(func(t *testing.T, text string) {
		over, overErr := ParseOverlay(text)
		if overErr == nil {
			if again, err := ParseOverlay(over.String()); err != nil || again.String() != over.String() {
				t.Fatalf("%q: %v", over, err)
			}
		}
		p, err := ParsePolicies(text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "line ") {
				t.Fatal(err)
			}
			return
		}
		again, err := ParsePolicies(p.String())
		if err != nil || again.String() != p.String() {
			t.Fatalf("%q: %v", p, err)
		}
		for _, a := range audiences {
			if s := Next(Effective(p.Rules(a), over), Person{}, Flow{}); s.Act == ActAdmit || s.Act == ActBind {
				t.Fatalf("nobody is led to %v by %q", s, text)
			}
		}
	})
}
