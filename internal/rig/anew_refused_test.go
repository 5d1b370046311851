package rig

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"doorward/internal/activation"
	"doorward/internal/audit"
	"doorward/internal/authn"
	authority "doorward/internal/certify"
	"doorward/internal/directory"
	"doorward/internal/keyfile"
	"doorward/internal/login"
	"doorward/internal/pki"
	"doorward/internal/renewal"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// certificates are all of somebody's, whatever became of them.
func (p *portal) certificates(who *Somebody) (all []pki.Certificate) {
	p.T.Helper()
	p.Read(func(tx *sqlstore.Tx) (err error) {
		all, err = tx.CertificatesOf(p.Realm.ID, who.Is.ID, 200)
		return err
	})
	return all
}

// bound counts how often somebody got a certificate on this way, by the trail.
func (p *portal) bound(who *Somebody) (n int) {
	p.T.Helper()
	p.Read(func(tx *sqlstore.Tx) error {
		events, err := tx.Events(audit.Query{Realm: p.Realm.ID, Person: who.Is.ID, Limit: 500})
		n = 0
		for _, e := range events {
			if e.Type == "credential.enrolled" && e.Data["kind"] == string(authn.Cert) {
				n++
			}
		}
		return err
	})
	return n
}

func flowOf(page *walker.Page) string { return strings.Split(page.URL.Path, "/")[2] }

func (p *portal) caller(b *walker.Client) login.Caller {
	return login.Caller{Realm: p.Realm.ID, Browser: browserOf(p.T, b), Network: "198.51.100.77"}
}

// tries takes every step behind the call in a flow that has not come there, and says what became of each.
func (p *portal) tries(b *walker.Client, page *walker.Page) (said []string) {
	p.T.Helper()
	ctx, c, flow := p.T.Context(), p.caller(b), flowOf(page)
	_, make := p.Renewals.Make(ctx, c, flow, keyfile.Linux)
	_, say := p.Renewals.SayAnew(ctx, c, flow)
	_, _, fetch := p.Renewals.FetchAnew(ctx, c, flow)
	for _, err := range []error{make, say, fetch, p.Renewals.Withdraw(ctx, c, flow)} {
		said = append(said, word(err))
	}
	for _, to := range []string{"make", "password", "file", "over"} {
		got, err := b.Submit(&walker.Form{Action: Origin + "/signin/" + flow + "/anew/" + to, Method: http.MethodPost, Values: url.Values{"target": {"linux"}}})
		p.must(err)
		if got.Header.Get("Content-Type") == keyfile.PKCS12Type || got.Text("p12-password") != "" {
			p.T.Errorf("%s is given out: %s", to, got.URL)
		}
	}
	return said
}

// Nothing is made before the call was confirmed, whatever else was shown: what remains is shown first and right, a code counts for
// ten minutes and three entries, and a call that seems wrong ends all of it.
func TestREQ_A54_A28b_SEC_A3_NothingBeforeTheCallIsConfirmed(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		p := newPortal(t, store)
		cleo, old := p.enters("Cleo Client", "cleo@moser.example")
		p.Clock.Until(old.Leaf.NotAfter.Add(time.Hour))
		b := p.BrowserWith("198.51.100.77", old)
		ctx, before, held := t.Context(), p.newest(cleo).ID, p.Holds(cleo)
		nothing := func(when string, page *walker.Page, says string) {
			t.Helper()
			for _, got := range p.tries(b, page) {
				want(t, when, got, says)
			}
			if all := p.certificates(cleo); len(all) != 1 || p.Holds(cleo) != held {
				t.Errorf("%s: %d certificates, held %s", when, len(all), p.Holds(cleo))
			}
		}

		// What remains has to be right, one after the other.
		p.Clock.Advance(Step)
		page := p.press(b, p.shows(b, p.at(b, cleo.Is.Address)), "/anew")
		nothing("before the password", page, "not-expected")
		wrong := *cleo.Mind
		wrong.Password, wrong.Secret = "nobody chose this one 55", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
		page = p.answers(&wrong, b, page)
		want(t, "behind a wrong password", asks(page), "password")
		page = p.answers(cleo.Mind, b, page)
		want(t, "behind the password", asks(page), "totp")
		nothing("behind the password", page, "not-expected")
		page = p.answers(&wrong, b, page)
		want(t, "behind a wrong code", asks(page), "totp")
		if p.newest(cleo).ID != before {
			t.Error("there is a call already")
		}
		p.Clock.Advance(Step)
		page = p.answers(cleo.Mind, b, page)
		want(t, "behind what remains", asks(page), "call")
		nothing("while it waits", page, "not-expected")

		// Ten minutes, and not a second more.
		a := p.newest(cleo)
		p.must(p.Calls.Open(ctx, p.as(p.luca), a.Person, a.ID))
		shown := code(page)
		p.Clock.Advance(activation.Life + time.Second)
		want(t, "at 10:01", word(p.Calls.Enter(ctx, p.as(p.luca), a.Person, a.ID, shown)), "call-over")
		nothing("at 10:01", page, "not-expected")

		// Three entries.
		page = p.press(b, p.again(b, page), "/code")
		a, shown = p.newest(cleo), code(page)
		p.must(p.Calls.Open(ctx, p.as(p.luca), a.Person, a.ID))
		for range 3 {
			if word(p.Calls.Enter(ctx, p.as(p.luca), a.Person, a.ID, other(shown))) == "ok" {
				t.Error("a wrong code is right")
			}
		}
		want(t, "the right one behind three wrong ones", word(p.Calls.Enter(ctx, p.as(p.luca), a.Person, a.ID, shown)), "call-over")
		nothing("behind three wrong entries", page, "not-expected")

		// Matched is not confirmed, and the contact confirms nothing.
		page = p.press(b, p.again(b, page), "/code")
		want(t, "the contact", word(p.Calls.Open(ctx, p.as(p.karl), cleo.Is.ID, p.newest(cleo).ID)), "call-contact")
		a = p.matched(cleo, p.luca, page)
		nothing("matched", page, "not-expected")

		// Suspicious: this sign-in is over, confirmed or not, and its owner is told.
		p.Deliver()
		p.must(p.Calls.Reject(ctx, p.as(p.luca), a.Person, a.ID, "The voice was another one"))
		nothing("rejected", page, "flow-over")
		page = p.remains(cleo, b)
		a = p.matched(cleo, p.luca, page)
		want(t, "confirmed", p.confirm(p.luca, a), "ok")
		p.must(p.Calls.Reject(ctx, p.as(p.lena), a.Person, a.ID, "The number on file knows of no call"))
		nothing("confirmed and rejected", page, "flow-over")
		if got := to(p.Deliver(), cleo, "activation-rejected"); len(got) != 2 {
			t.Errorf("%d letters about rejected calls", len(got))
		}
	})
}

// Whoever is frozen or disabled while they get a certificate gets none, however far they were.
func TestREQ_A54_ShutMeanwhile(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		p := newPortal(t, store)
		set := func(who *Somebody, s directory.PersonState) {
			p.Write(func(tx *sqlstore.Tx) error {
				now, err := tx.Person(p.Realm.ID, who.Is.ID)
				if err != nil {
					return err
				}
				now.State = s
				return tx.UpdatePerson(now)
			})
		}
		cleo, old := p.enters("Cleo Client", "cleo@moser.example")
		p.Clock.Until(old.Leaf.NotAfter.Add(time.Hour))
		b := p.BrowserWith("198.51.100.77", old)
		for _, state := range []directory.PersonState{directory.Frozen, directory.Disabled} {
			page := p.anew(cleo, b)
			set(cleo, state)
			for _, got := range p.tries(b, page) {
				if got == "ok" {
					t.Errorf("%s, and something is done", state)
				}
			}
			set(cleo, directory.Active)
			page = p.again(b, page)
			if page.FormTo("/anew/make") == nil { // the sign-in has ended with it
				page = p.anew(cleo, b)
			}
			fresh := p.file(b, p.press(b, page, "/anew/make", "target", "linux"))
			set(cleo, state)
			in := p.with(b, fresh)
			if f := p.again(in, page).FormTo("/certificate"); f != nil {
				got, err := in.Submit(f)
				p.must(err)
				if strings.HasPrefix(got.URL.Path, "/signin/done") {
					t.Errorf("%s, and bound", state)
				}
			}
			if c := p.on(cleo, fresh); c.State != pki.Pending || p.bound(cleo) != 0 {
				t.Errorf("%s: it is %s", state, c.State)
			}
			set(cleo, directory.Active)
		}
	})
}

// What an impostor has is worth no more where a certificate has run out: mailbox and password, password and authenticator, an
// agent who believes them. None comes to a code, or none behind it.
func TestREQ_A54_SEC_H1_AnImpostorGetsNoCertificate(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		p := newPortal(t, store)
		cleo, old := p.enters("Cleo Client", "cleo@moser.example")
		p.Clock.Until(old.Leaf.NotAfter.Add(time.Hour))
		ctx, before, held := t.Context(), p.newest(cleo).ID, p.Holds(cleo)
		none := func(who string) {
			t.Helper()
			if got := p.newest(cleo).ID; got != before {
				t.Errorf("%s: there is a code", who)
			}
			if all := p.certificates(cleo); len(all) != 1 || p.Holds(cleo) != held {
				t.Errorf("%s: %d certificates, held %s", who, len(all), p.Holds(cleo))
			}
		}
		thief := func(password string) (*walker.Client, *walker.Person, *walker.Page) {
			p.Clock.Advance(time.Hour)
			b, mind := p.Browser("203.0.113.9"), p.Mind(cleo.Is.Address)
			mind.Password, mind.Secret = password, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
			page := p.press(b, p.shows(b, p.at(b, cleo.Is.Address)), "/anew")
			return b, mind, p.answers(mind, b, page)
		}

		// Mailbox and password: the authenticator is asked for, and neither the link of the mail nor a lost phone goes round it.
		b, mind, page := thief(Password)
		want(t, "behind the password", asks(page), "totp")
		p.must(p.Login.Forgot(ctx, login.Caller{Realm: p.Realm.ID, Network: "203.0.113.9"}, cleo.Is.Address))
		for _, letter := range to(p.Deliver(), cleo, "password-reset") {
			other, err := b.Get(linkIn.FindString(letter.Text))
			p.must(err)
			if _, err = mind.Walk(b, other, func(at *walker.Page) bool { return asks(at) == "call" || walker.At("/account")(at) }); err == nil {
				t.Error("the mail leads on")
			}
		}
		p.everywhere(b, page)
		none("mailbox and password")

		// And an agent who believes them, and approves a new authenticator: it is bound behind the certificate alone, and this way
		// still asks for the one that is there.
		p.granted(cleo, authn.TOTP)
		b, mind, page = thief(Password)
		want(t, "behind an approval", asks(page), "totp")
		p.everywhere(b, page)
		for _, letter := range p.Deliver() {
			if link := linkIn.FindString(letter.Text); letter.Person == cleo.Is.ID && link != "" {
				other, err := b.Get(link)
				p.must(err)
				_, _ = mind.Walk(b, other, func(at *walker.Page) bool { return asks(at) == "call" || strings.HasPrefix(asks(at), "set") })
			}
		}
		none("mailbox, password and agent")

		// An agent, without the password: there is nothing that could be called about.
		b, _, page = thief("nobody chose this one 55")
		want(t, "a wrong password", asks(page), "password")
		p.everywhere(b, page)
		none("agent")

		// Password and authenticator: a code, and nobody who confirms it. No route leads past it.
		b = p.Browser("203.0.113.9")
		page = p.remains(cleo, b)
		p.everywhere(b, page)
		if all := p.certificates(cleo); len(all) != 1 || p.Holds(cleo) != held {
			t.Errorf("without the call: %d certificates, held %s", len(all), p.Holds(cleo))
		}

		// Somebody whose authenticator has ended has too little left for the call (authn, E13).
		p.Write(func(tx *sqlstore.Tx) error {
			all, err := tx.Credentials(p.Realm.ID, cleo.Is.ID)
			for _, c := range all {
				if err == nil && c.Kind == authn.TOTP {
					c.State, c.Ended = authn.Ended, p.Clock.Now()
					err = tx.UpdateCredential(c)
				}
			}
			return err
		})
		before, held = p.newest(cleo).ID, p.Holds(cleo)
		b, _, page = thief(Password)
		p.everywhere(b, page)
		none("the password alone")
	})
}

// everywhere hands in on every route of a flow what gets on somewhere.
func (p *portal) everywhere(b *walker.Client, page *walker.Page) {
	p.T.Helper()
	flow := flowOf(page)
	for _, r := range p.Registry() {
		if !strings.Contains(r.Path, "/signin/{flow}") || strings.HasSuffix(r.Path, "/leave") || strings.HasSuffix(r.Path, "/events") || strings.HasSuffix(r.Path, "/code") {
			continue
		}
		at := strings.NewReplacer("{flow}", flow, "{ticket}", "none", "{platform}", "ios").Replace(r.Path)
		for _, kind := range []string{"call", "cert"} {
			form := url.Values{"kind": {kind}, "with": {kind}, "code": {"123456"}, "password": {"nobody chose this one 55"}, "target": {"linux"}, "credential": {""}}
			got, err := b.Submit(&walker.Form{Action: Origin + at, Method: r.Method, Values: form})
			p.must(err)
			if got.Header.Get("Content-Type") == keyfile.PKCS12Type || got.Text("p12-password") != "" || strings.HasPrefix(got.URL.Path, "/signin/done") || strings.HasPrefix(got.URL.Path, "/account") {
				p.T.Errorf("%s %s leads on: %s", r, kind, got.URL)
			}
		}
	}
}

// Sixty-four show the new certificate at once, give it up, tidy up as its sign-in ends, and revoke it: it is bound once or not at
// all, and what was given up or revoked first is never bound.
func TestREQ_A54_ConfirmedRaced(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		p := newPortal(t, store)
		cleo, old := p.enters("Cleo Client", "cleo@moser.example")
		p.must(p.Certs.Suspend(t.Context(), authority.Changed{Realm: p.Realm.ID, ID: p.on(cleo, old).ID, By: authority.Operator}))
		begun := p.bound(cleo)
		for _, against := range []string{"itself", "giving up", "tidying", "revoking"} {
			b := p.Browser("198.51.100.77")
			page := p.anew(cleo, b)
			fresh := p.file(b, p.press(b, page, "/anew/make", "target", "linux"))
			id, in, c, flow := p.on(cleo, fresh).ID, p.with(b, fresh), p.caller(b), flowOf(page)
			var tickets []string
			for range 8 {
				tickets = append(tickets, p.ticket(in, p.again(in, page)))
			}
			ctx := t.Context()
			rival := map[string]func() error{
				"itself":    nil,
				"giving up": func() error { return p.Renewals.Withdraw(ctx, c, flow) },
				"tidying": func() error {
					p.Clock.Advance(login.FlowLife / 8)
					return p.Renewals.Tidy(ctx, p.Realm.ID)
				},
				"revoking": func() error {
					return p.Certs.Revoke(ctx, authority.Changed{Realm: p.Realm.ID, ID: id, Reason: pki.KeyCompromise, By: authority.Operator})
				},
			}[against]
			var all sync.WaitGroup
			for i := range 64 {
				ticket := tickets[i%len(tickets)]
				all.Go(func() {
					if rival != nil && i%2 != 0 {
						for range i % 8 { // some come early, some late
							_, _ = p.Renewals.Anew(ctx, c, flow)
						}
						_ = rival()
						return
					}
					_, _ = p.Login.Prove(ctx, c, flow, authn.Answer{Kind: authn.Cert, Text: ticket})
				})
			}
			all.Wait()
			now, done := p.on(cleo, fresh), p.bound(cleo)-begun
			begun += done
			t.Logf("against %s: %s, bound %d", against, now.State, done)
			bound := !now.FirstUsed.IsZero()
			switch {
			case bound != (done == 1) || done > 1:
				t.Errorf("against %s: bound %d times, shown %t", against, done, bound)
			case against == "itself" && !bound, against == "revoking" && now.State != pki.Revoked:
				t.Errorf("against %s: it is %s", against, now.State)
			case against != "revoking" && bound != (now.State == pki.Active):
				t.Errorf("against %s: bound %t, and it is %s", against, bound, now.State)
			}
			if letters := to(p.Deliver(), cleo, "factor-replaced"); len(letters) != done {
				t.Errorf("against %s: %d letters", against, len(letters))
			}
			p.Clock.Advance(login.FlowLife)
			p.must(p.Renewals.Tidy(ctx, p.Realm.ID))
			if now = p.on(cleo, fresh); now.State == pki.Active {
				p.must(p.Certs.Suspend(ctx, authority.Changed{Realm: p.Realm.ID, ID: id, By: authority.Operator})) // lost again
			} else if now.State != pki.Revoked {
				t.Errorf("against %s: %s is left", against, now.State)
			}
		}
	})
}

// meanwhile is a store in which something happens before the first write.
type meanwhile struct {
	authority.Store
	do func()
}

func (m *meanwhile) Write(ctx context.Context, fn func(authority.Tx) error) error {
	if do := m.do; do != nil {
		m.do = nil
		do()
	}
	return m.Store.Write(ctx, fn)
}

// flows are those of the program, and something happens right after they were looked at.
type flows struct {
	renewal.Flows
	then func()
}

func (f flows) Look(ctx context.Context, c login.Caller, id string) (login.View, error) {
	v, err := f.Flows.Look(ctx, c, id)
	f.then()
	return v, err
}

// What was looked at a moment ago counts only as it is now: a certificate that was bound in that moment is neither given up nor
// tidied away, and a sign-in that ended in it gets none, with nothing left behind.
func TestREQ_A54_WhatMovedOnInThatMoment(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		p := newPortal(t, store)
		ctx := t.Context()
		cleo, old := p.enters("Cleo Client", "cleo@moser.example")
		p.must(p.Certs.Suspend(ctx, authority.Changed{Realm: p.Realm.ID, ID: p.on(cleo, old).ID, By: authority.Operator}))
		begun := p.bound(cleo)
		late := func(do func()) *renewal.Service {
			s := *p.Renewals
			s.Issuer = &authority.Service{Store: &meanwhile{p.Certs.Store, do}, Clock: p.Certs.Clock, Realm: p.Certs.Realm, Ended: p.Certs.Ended}
			return &s
		}
		for i, what := range []string{"given up", "tidied away"} {
			b := p.Browser("198.51.100.77")
			page := p.anew(cleo, b)
			fresh := p.file(b, p.press(b, page, "/anew/make", "target", "linux"))
			in, c, flow := p.with(b, fresh), p.caller(b), flowOf(page)
			ticket := p.ticket(in, p.again(in, page))
			s := late(func() {
				_, err := p.Login.Prove(ctx, c, flow, authn.Answer{Kind: authn.Cert, Text: ticket})
				p.must(err)
			})
			if what == "given up" {
				want(t, what, word(s.Withdraw(ctx, c, flow)), "certificate-other")
			} else { // on a node whose clock is ahead
				s.Clock = func() time.Time { return p.Clock.Now().Add(login.FlowLife) }
				if err := s.Tidy(ctx, p.Realm.ID); err == nil {
					t.Error("tidied away, and nobody says that it was in use")
				}
			}
			now := p.on(cleo, fresh)
			if now.State != pki.Active || p.bound(cleo) != begun+i+1 {
				t.Errorf("%s: it is %s", what, now.State)
			}
			p.must(p.Certs.Suspend(ctx, authority.Changed{Realm: p.Realm.ID, ID: now.ID, By: authority.Operator}))
		}

		b := p.Browser("198.51.100.77")
		page := p.anew(cleo, b)
		s, before := *p.Renewals, len(p.certificates(cleo))
		s.Flows = flows{p.Login, func() {
			p.Write(func(tx *sqlstore.Tx) error { _, err := tx.VoidFlows(p.Realm.ID, cleo.Is.ID, ""); return err })
		}}
		_, err := s.Make(ctx, p.caller(b), flowOf(page), keyfile.Linux)
		want(t, "over in that moment", word(err), "stale")
		all := p.certificates(cleo)
		for _, one := range all {
			if one.State == pki.Pending || one.State == pki.Reserved || len(all) != before+1 {
				t.Errorf("%d are left, one is %s", len(all)-before, one.State)
			}
		}
		p.Read(func(tx *sqlstore.Tx) error {
			parcels, err := tx.ParcelsOf(p.Realm.ID, cleo.Is.ID, 10)
			for _, one := range parcels {
				if len(one.File) > 0 || len(one.Password) > 0 {
					t.Errorf("a file waits: %s", one.State)
				}
			}
			return err
		})

		// Lifted while its owner was getting another: one of the two is accepted.
		b = p.Browser("198.51.100.77")
		page = p.anew(cleo, b)
		fresh := p.file(b, p.press(b, page, "/anew/make", "target", "linux"))
		held := p.on(cleo, fresh).Replaces
		p.must(p.Certs.Resume(ctx, authority.Changed{Realm: p.Realm.ID, ID: held, By: authority.Operator}))
		p.shows(p.with(b, fresh), p.again(b, page))
		live := 0
		for _, one := range p.certificates(cleo) {
			if one.Live(p.Clock.Now()) {
				live++
			}
		}
		if live != 1 || !p.on(cleo, fresh).Live(p.Clock.Now()) {
			t.Errorf("%d live, the new one is %s", live, p.on(cleo, fresh).State)
		}
	})
}

// ticket is what the host for certificates hands back to a flow for what the browser shows there.
func (p *portal) ticket(b *walker.Client, page *walker.Page) string {
	p.T.Helper()
	follow := b.HTTP.CheckRedirect
	defer func() { b.HTTP.CheckRedirect = follow }()
	ticket := ""
	b.HTTP.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if _, back, ok := strings.Cut(r.URL.Path, "/certificate/"); ok && strings.HasPrefix(r.URL.Path, "/signin/") {
			ticket = back
			return http.ErrUseLastResponse
		}
		return nil
	}
	_, err := b.Submit(page.FormTo("/certificate"))
	p.must(err)
	if ticket == "" {
		p.T.Fatal("no ticket")
	}
	return ticket
}
