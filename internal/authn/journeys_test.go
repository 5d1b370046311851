package authn

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// A journey is a script: what Next must say, then what the person does, and so on. The doings are
//
//	show K · sneak K (evidence that was not asked for) · take K (bind it) · do DUTY · wait MINUTES · suspend K · end K · grant K… · grant2 K… (none: any) · later K… (cooling off)
//	hand K (evidence from enrolling, as a session hands it on)
type journey struct {
	name, text string
	audience   Audience
	active     bool
	held       string
	goal       Goal
	script     []string
}

func lost(k Kind) Goal  { return Goal{Bind: k, Way: ByReplace} }
func spare(k Kind) Goal { return Goal{Bind: k, Way: ByEnrol} }

var journeys = []journey{
	{"B22 the first set-up of a shop member ends with a first sign-in", "shop", Members, false, "", Goal{}, []string{
		"prove password passkey also invite mail", "show invite",
		"bind password passkey", "take password",
		"bind totp phone passkey", "take totp",
		"prove password", "show password", "prove totp", "show totp",
		"perform terms", "do terms", "perform preferences", "do preferences", "admit"}},
	{"B11 a passkey alone is enough for set-up", "shop", Members, false, "", Goal{}, []string{
		"prove password passkey also invite mail", "show invite",
		"bind password passkey", "take passkey", "prove passkey", "show passkey", "perform terms"}},
	{"an interrupted set-up goes on at the missing step, on any device", "shop", Members, false, "password", Goal{}, []string{
		"prove password passkey also invite mail", "show password", "prove invite", "show invite", "bind totp phone passkey", "take phone",
		"prove phone", "show phone", "perform terms"}},
	{"the mailbox cannot go on with a set-up that the password began", "shop", Members, false, "password", Goal{}, []string{
		"prove password passkey also invite mail", "show invite", "prove password", "show password", "bind totp phone passkey"}},
	{"every day at the shop", "shop", Members, true, "password totp phone", Goal{}, []string{
		"prove password passkey also invite mail", "show password", "prove totp phone", "show phone", "admit"}},
	{"an invitation of long ago opens nothing", "shop", Members, true, "password totp", Goal{}, []string{
		"prove password passkey also invite mail", "show invite", "prove password", "show password", "prove totp", "show totp", "admit"}},
	{"B73 forgotten password proves the other factor", "shop", Members, true, "password totp", lost(Password), []string{
		"prove mail also invite", "show mail", "prove totp", "show totp", "bind password", "take password", "admit"}},
	{"B73 with nothing else left a forgotten password needs two people", "shop", Members, true, "password", lost(Password), []string{
		"prove mail also invite", "show mail", "stuck needs-two-approvals grant2"}},
	{"B54 a spare needs a complete sign-in", "shop", Members, true, "password totp", spare(Phone), []string{
		"prove password passkey", "show password", "prove totp", "show totp", "bind phone", "take phone", "admit"}},
	{"A46 a sign-in of six minutes ago is not fresh enough for a spare", "shop", Members, true, "password totp", spare(TOTP), []string{
		"prove password passkey", "show password", "prove totp", "show totp", "bind totp", "wait 6", "prove password", "show password",
		"prove totp", "show totp", "bind totp", "wait 5", "bind totp"}},
	{"a recovery code replaces the phone after the password", "shop", Members, true, "password totp recovery", lost(TOTP), []string{
		"prove password passkey mail also invite", "show password", "prove recovery (needs-grant)", "show recovery", "bind totp", "take totp", "admit"}},
	{"a recovery code never admits", "shop", Members, true, "password totp recovery", Goal{}, []string{
		"prove password passkey also invite mail", "show password", "prove totp", "sneak recovery", "prove totp"}},
	{"no codes, no grant: the help desk has to act", "shop", Members, true, "password totp", lost(TOTP), []string{
		"prove password passkey mail also invite", "show mail", "prove password", "show password", "stuck needs-grant grant"}},
	{"B40 after an administrator's reset it goes on at the set-up step, with the old password", "shop", Members, true, "password totp", Goal{}, []string{
		"grant totp", "prove password passkey also invite mail", "show password", "prove mail also totp", "show mail",
		"bind totp also totp", "take totp", "prove totp", "show totp", "admit"}},
	{"B61 the mail after a reset is permission to enrol, not a login", "shop", Members, true, "password totp", Goal{}, []string{
		"grant totp", "prove password passkey also invite mail", "show mail", "prove password", "show password", "bind totp also totp"}},
	{"what was reported lost and is found again still works", "shop", Members, true, "password totp", Goal{}, []string{
		"grant totp", "prove password passkey also invite mail", "show password", "prove mail also totp", "show totp", "admit"}},
	{"a reset that cools off changes nothing, and says so", "shop", Members, true, "password totp", Goal{}, []string{
		"later totp", "prove password passkey also invite mail", "show password", "prove totp (grant-not-yet)"}},
	{"a reset that was not used in time", "shop", Members, true, "password totp", lost(TOTP), []string{
		"grant totp", "wait 90", "prove password passkey mail also invite", "show password", "stuck grant-ended grant"}},
	{"a suspended phone is not asked for again and again", "shop", Members, true, "password totp", Goal{}, []string{
		"suspend totp", "prove password passkey also invite mail", "show password", "stuck suspended grant"}},
	{"all is lost: two people and a voice", "shop", Members, true, "password totp", Goal{}, []string{
		"grant2", "prove password passkey also invite mail", "show mail", "prove spoken also password", "show spoken",
		"bind password passkey also password", "take password", "bind totp phone passkey also password", "take totp", "prove password",
		"show password", "prove totp", "show totp", "admit"}},
	{"S10 an administrator with a passkey uses it", "shop", Administrators, true, "password totp passkey", Goal{}, []string{
		"prove passkey password also invite mail", "show password", "prove passkey", "show passkey", "admit"}},
	{"S10 an administrator without one may come with password and code", "shop", Administrators, true, "password totp", Goal{}, []string{
		"prove passkey password also invite mail", "show password", "prove totp", "show totp", "admit"}},
	{"a suspended passkey opens no lesser way", "shop", Administrators, true, "password totp passkey", Goal{}, []string{
		"suspend passkey", "prove passkey password also invite mail", "show password", "stuck suspended grant"}},
	{"an approved request for the passkey opens no lesser way either", "shop", Administrators, true, "password totp passkey", Goal{}, []string{
		"grant passkey", "prove passkey password also invite mail", "show password", "prove totp also passkey", "show totp",
		"prove mail also passkey", "show mail", "bind passkey also passkey", "take passkey", "prove passkey", "show passkey", "admit"}},
	{"staff: no phone, no recovery", "shop", Staff, true, "password totp", lost(TOTP), []string{
		"prove mail also invite", "show mail", "prove password", "show password", "stuck needs-two-approvals grant2"}},
	{"staff cannot reset a password by mail", "shop", Staff, true, "password totp", lost(Password), []string{
		"prove mail also invite", "show mail", "prove totp", "show totp", "stuck needs-two-approvals grant2"}},
	{"A31 certificate, call, phone, password, terms", "wealth", Members, false, "cert", Goal{}, []string{
		"prove cert", "show cert", "prove call", "show call", "prove cert", "show cert", "bind phone", "take phone", "bind password", "take password",
		"perform terms", "do terms", "admit"}},
	{"A11 without a certificate nothing begins", "wealth", Members, false, "", Goal{}, []string{
		"prove cert", "sneak invite", "stuck needs-certificate"}},
	{"A1 three factors every day", "wealth", Members, true, "cert password phone", Goal{}, []string{
		"prove cert", "show cert", "prove password", "show password", "prove phone", "show phone", "admit"}},
	{"A54 an expired certificate: password, phone and the call", "wealth", Members, true, "password phone", lost(Cert), []string{
		"prove password", "show password", "prove phone", "show phone", "prove call", "show call", "bind cert", "take cert", "admit"}},
	{"a lost certificate that is still enrolled", "wealth", Members, true, "cert password phone", lost(Cert), []string{
		"prove password", "show password", "prove phone", "show phone", "prove call", "show call", "bind cert", "take cert", "admit"}},
	{"A46 renewal needs all three", "wealth", Members, true, "cert password phone", spare(Cert), []string{
		"prove cert", "show cert", "prove password", "show password", "prove phone", "show phone", "bind cert", "take cert", "admit"}},
	{"a lost phone: certificate, password, an approval and the call", "wealth", Members, true, "cert password phone", Goal{}, []string{
		"grant phone", "prove cert", "show cert", "prove password", "show password", "prove call also phone", "show call",
		"prove cert also phone", "show cert", "bind phone also phone", "take phone", "admit"}},
	{"the call does not bind for a person who was active and lost the phone", "wealth", Members, true, "cert password", Goal{}, []string{
		"prove cert", "show cert", "prove password", "show password", "stuck needs-grant grant"}},
	{"E13 a call before the certificate counts for nothing", "wealth", Members, false, "cert", Goal{}, []string{
		"prove cert", "sneak call", "prove cert", "show cert", "prove call", "show call", "prove cert", "show cert", "bind phone"}},
	{"E20 a certificate revoked behind the call binds nothing", "wealth", Members, false, "cert", Goal{}, []string{
		"prove cert", "show cert", "prove call", "show call", "prove cert", "show cert", "end cert", "stuck needs-certificate"}},
	{"E12 what a session's set-up bound is no sign-in", "wealth", Members, true, "cert password phone", spare(Phone), []string{
		"prove cert", "show cert", "sneak phone", "hand password", "prove password", "show password", "bind phone"}},
	{"R3 a certificate revoked meanwhile takes its evidence along", "wealth", Members, true, "cert password phone", Goal{}, []string{
		"prove cert", "show cert", "prove password", "show password", "end cert", "prove phone", "show phone", "prove call"}},
	{"A31 the interim text: certificate, call, certificate once more, app, password, terms", "wealth-interim", Members, false, "cert", Goal{}, []string{
		"prove cert", "show cert", "prove call", "show call", "prove cert", "show cert", "bind totp", "take totp", "bind password", "take password",
		"perform terms", "do terms", "admit"}},
	{"A1 the interim text: three factors every day", "wealth-interim", Members, true, "cert password totp", Goal{}, []string{
		"prove cert", "show cert", "prove password", "show password", "prove totp", "show totp", "admit"}},
	{"A54 the interim text: an expired certificate", "wealth-interim", Members, true, "password totp", lost(Cert), []string{
		"prove password", "show password", "prove totp", "show totp", "prove call", "show call", "bind cert", "take cert", "admit"}},
	{"the interim text: a lost app", "wealth-interim", Members, true, "cert password totp", Goal{}, []string{
		"grant totp", "prove cert", "show cert", "prove password", "show password", "prove call also totp", "show call",
		"prove cert also totp", "show cert", "bind totp also totp", "take totp", "admit"}},
	{"the interim text: a forgotten password", "wealth-interim", Members, true, "cert password totp", Goal{}, []string{
		"grant password", "prove cert", "show cert", "prove totp also password", "show totp", "prove call also password", "show call",
		"prove cert also password", "show cert", "bind password also password", "take password", "admit"}},
	{"E13 a call before the app counts for nothing", "wealth-interim", Members, true, "password totp", lost(Cert), []string{
		"prove password", "show password", "sneak call", "prove totp", "show totp", "prove call", "show call", "bind cert"}},
	{"a password and an app, and no more", "plain", Members, false, "", Goal{}, []string{
		"prove password also invite mail", "show invite", "bind password", "take password", "bind totp", "take totp",
		"prove password", "show password", "prove totp", "show totp", "perform terms", "do terms", "admit"}},
	{"a kind that no line binds", "plain", Members, true, "password totp", lost(Phone), []string{"stuck not-offered"}},
}

// run plays a journey and returns what went otherwise.
func (j journey) run(s slack, r Rules) error {
	p := Person{ID: "somebody", EverActive: j.active, Held: holdings(setOf(named(j.held)...))}
	if !j.active {
		p.Owed = []Duty{Preferences, Terms}
	}
	f := Flow{ID: "flow", Goal: j.goal, Created: trial, Now: trial}
	var step Step
	last := 0
	for i, line := range j.script {
		verb, rest, _ := strings.Cut(line, " ")
		kinds := named(rest)
		switch verb {
		case "show", "sneak", "take", "do":
			did := step
			if verb == "show" && !step.Accepts(ActProve, Kind(rest)) || verb == "take" && !step.Accepts(ActBind, Kind(rest)) {
				return fmt.Errorf("line %d: %q does not accept %s", i+1, show(step), rest)
			}
			if verb == "show" || verb == "sneak" {
				did, f.Person = Step{Act: ActProve}, p.ID
			}
			p, f = walk(did, Kind(rest), p, f)
			continue
		case "wait":
			var minutes int
			fmt.Sscan(rest, &minutes)
			f.Now = f.Now.Add(time.Duration(minutes) * time.Minute)
			continue
		case "suspend":
			p.Held = slices.Clone(p.Held)
			for i := range p.Held {
				p.Held[i].Suspended = p.Held[i].Suspended || p.Held[i].Kind == Kind(rest)
			}
			continue
		case "end":
			p.Held = slices.DeleteFunc(slices.Clone(p.Held), func(h Holding) bool { return h.Kind == Kind(rest) })
			continue
		case "hand":
			f.Evidence = append(f.Evidence, Evidence{Kind: Kind(rest), Credential: "own " + rest, At: f.Now, Bound: true})
			continue
		case "grant", "grant2", "later":
			g := grantOf(1, kinds...)
			if verb == "grant2" {
				g.Approvers = 2
			}
			if verb == "later" {
				g.From = f.Now.Add(time.Minute)
			}
			p.Grants = append(p.Grants, g)
			continue
		}
		step = s.next(r, p, f)
		if got := show(step); got != line {
			return fmt.Errorf("line %d: got %q, want %q", i+1, got, line)
		}
		if step.Of > 0 && (step.At < last || step.At > step.Of) {
			return fmt.Errorf("line %d: step %d of %d after step %d", i+1, step.At, step.Of, last)
		}
		last = step.At
	}
	return nil
}

func runJourneys(t testing.TB, s slack) error {
	for _, j := range journeys {
		if err := j.run(s, text(t, j.text).Rules(j.audience)); err != nil {
			return fmt.Errorf("%s: %w", j.name, err)
		}
	}
	return nil
}

func TestJourneys(t *testing.T) {
	for _, j := range journeys {
		t.Run(j.name, func(t *testing.T) {
			if err := j.run(slack{}, text(t, j.text).Rules(j.audience)); err != nil {
				t.Error(err)
			}
		})
	}
}
