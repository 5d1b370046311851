package login_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/authn/recovery"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/secret"
	"doorward/internal/sqlstore"
)

// makes starts a sheet of recovery codes, as the account page does for who has signed in.
func (u *user) makes() (login.View, recovery.Sheet) {
	u.h.t.Helper()
	v, err := u.h.login.Begin(context.Background(), u.caller(), login.Start{Goal: authn.Goal{Bind: authn.Recovery, Way: authn.ByEnrol}})
	must(u.h.t, err)
	expect(u.h.t, u.took(v), authn.ActBind, authn.Recovery)
	s, ok := recovery.Read(v.Question)
	if !ok {
		u.h.t.Fatal("no sheet")
	}
	return v, s
}

func (u *user) keeps(v login.View, s recovery.Sheet) (login.View, error) {
	next, err := u.h.login.Prove(context.Background(), u.caller(), v.Flow.ID, authn.Answer{Kind: authn.Recovery, Text: s.Mark, Confirm: "yes"})
	return u.took(next), err
}

// codes makes and keeps a sheet.
func (u *user) codes() []string {
	u.h.t.Helper()
	v, s := u.makes()
	v, err := u.keeps(v, s)
	must(u.h.t, err)
	if !v.Finished || v.Minted != nil {
		u.h.t.Fatalf("%+v", v.Step)
	}
	return s.Codes
}

// elsewhere is the same person in a browser that nobody has seen before.
func (u *user) elsewhere() *user {
	o := *u
	o.browser, o.device, o.session = "", "", ""
	return &o
}

// loses signs in up to the code, and says that the authenticator is gone.
func (u *user) loses() login.View {
	u.h.t.Helper()
	v := u.proves(u.begin(), authn.Password, u.password)
	if !v.Codes {
		u.h.t.Fatal("no way back is offered")
	}
	v, err := u.h.login.Lose(context.Background(), u.caller(), v.Flow.ID, false)
	must(u.h.t, err)
	expect(u.h.t, v, authn.ActProve, authn.Recovery)
	return v
}

func (h *house) held(u *user, k authn.Kind) (ids []string) {
	h.t.Helper()
	h.read(func(tx *sqlstore.Tx) error {
		ids = nil
		all, err := tx.Credentials(h.realm.ID, u.id)
		for _, c := range all {
			if c.Kind == k {
				ids = append(ids, c.ID)
			}
		}
		return err
	})
	return ids
}

func (h *house) mails(u *user, template string) (n int) {
	h.t.Helper()
	for _, m := range h.outbox() {
		if m.Person == u.id && m.Template == template {
			n++
		}
	}
	return n
}

func TestSEC_H4_ACodeReplacesAndNeverAdmits(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", "member").setUp()
		codes, old := u.codes(), h.held(u, authn.TOTP)
		o := u.elsewhere()
		v := o.loses()
		v = o.proves(v, authn.Recovery, strings.ToLower(codes[4]))
		expect(t, v, authn.ActBind, authn.TOTP)
		if v.Minted != nil || o.signedIn() || !slices.Equal(h.held(u, authn.TOTP), old) || !u.signedIn() {
			t.Fatal("the code alone changed something")
		}
		if h.mails(u, "recovery-used") != 1 {
			t.Fatal("the owner was not told at once")
		}
		v = o.proves(o.chooses(v), authn.TOTP, o.code())
		if now := h.held(u, authn.TOTP); !v.Finished || v.Minted != nil || len(now) != 1 || now[0] == old[0] {
			t.Fatalf("%+v, holds %v", v.Step, now)
		}
		if u.signedIn() || o.signedIn() {
			t.Error("somebody is signed in")
		}
		if events := u.events(); !slices.Contains(events, "recovery.used") || !slices.Contains(events, "credential.ended") {
			t.Errorf("%v", events)
		}
		o.signIn()
		if len(h.held(u, authn.Recovery)) != 1 {
			t.Error("the sheet is gone")
		}
		// The same code again, in another flow.
		again := o.elsewhere()
		_, err := again.prove(again.loses(), authn.Recovery, codes[4])
		wantCode(t, err, "recovery-used")
	})
}

func TestSEC_H4_FoundAgain(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", "member").setUp()
		ctx := context.Background()
		v := u.elsewhere().begin()
		if _, err := h.login.Lose(ctx, u.caller(), v.Flow.ID, false); !fault.Of(err, fault.Expired) {
			t.Errorf("of another browser: %v", err)
		}
		o := u.elsewhere()
		v = o.begin()
		_, err := h.login.Lose(ctx, o.caller(), v.Flow.ID, false)
		wantCode(t, err, "not-expected") // nobody is known yet
		v = o.proves(v, authn.Password, u.password)
		if v.Codes {
			t.Error("codes are offered to who has none")
		}
		_, err = h.login.Lose(ctx, o.caller(), v.Flow.ID, false)
		wantCode(t, err, "no-recovery-codes")
		v = o.proves(v, authn.TOTP, u.code())
		if v.Minted == nil {
			t.Fatalf("a refusal left something behind: %+v", v.Step)
		}
		u.session = o.session // made by o, now in hand of u
		u.browser, u.device = o.browser, o.device
		u.codes()
		o = u.elsewhere()
		v = o.loses()
		_, err = h.login.Lose(ctx, o.caller(), v.Flow.ID, false)
		wantCode(t, err, "not-expected")
		v, err = h.login.Lose(ctx, o.caller(), v.Flow.ID, true)
		must(t, err)
		expect(t, v, authn.ActProve, authn.TOTP)
		if v = o.proves(v, authn.TOTP, u.code()); v.Minted == nil {
			t.Errorf("%+v", v.Step)
		}
	})
}

func TestSEC_H4_WrongCodesAreAttempts(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", "member").setUp()
		codes := u.codes()
		tries, throttled := 0, false
		for range 4 {
			o := u.elsewhere()
			o.network = "203.0.113.9"
			v := o.loses()
			for range 5 {
				_, err := o.prove(v, authn.Recovery, secret.RecoveryCode())
				if fault.Of(err, fault.Throttled) {
					throttled = true
					break
				}
				if !fault.Of(err, fault.Rejected) {
					t.Fatal(err)
				}
				tries++
			}
		}
		if tries != 10 || !throttled {
			t.Errorf("%d tries, throttled %t", tries, throttled)
		}
		// The browser that they know has a lane of its own.
		own := *u
		own.session = ""
		if v := own.proves(own.loses(), authn.Recovery, codes[0]); v.Step.Act != authn.ActBind {
			t.Errorf("%+v", v.Step)
		}
	})
}

func TestSEC_H4_TRACE_OneCodeInManyFlows(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", "member").setUp()
		code := u.codes()[0]
		const n = 64
		flows, people := make([]login.View, n), make([]*user, n)
		for i := range n {
			people[i] = u.elsewhere()
			people[i].network = fmt.Sprintf("198.51.100.%d", i)
			flows[i] = people[i].loses()
		}
		var odd atomic.Int64
		won := together(n, func(i int) bool {
			v, err := people[i].prove(flows[i], authn.Recovery, code)
			if f := fault.As(err); err != nil && (f == nil || f.Code != "recovery-used" && f.Code != "stale" && f.Code != "too-many-attempts") {
				odd.Add(1)
				t.Error(err)
			}
			return err == nil && v.Step.Act == authn.ActBind
		})
		if won != 1 || odd.Load() != 0 || h.mails(u, "recovery-used") != 1 {
			t.Errorf("%d flows took it, %d mails", won, h.mails(u, "recovery-used"))
		}
	})
}

func TestSEC_H4_TRACE_OneFlowManyCodes(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", "member").setUp()
		codes := u.codes()
		o := u.elsewhere()
		v := o.loses()
		together(64, func(i int) bool {
			one := *o
			_, err := one.prove(v, authn.Recovery, codes[i%10])
			return err == nil
		})
		h.read(func(tx *sqlstore.Tx) error {
			all, err := tx.Credentials(h.realm.ID, u.id)
			for _, c := range all {
				if left, of := recovery.Left(c); c.Kind == authn.Recovery && (left != 9 || of != 10) {
					t.Errorf("one flow spent %d codes", of-left)
				}
			}
			return err
		})
	})
}

func TestSEC_H4_TRACE_NewSheetsEndTheOld(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", "member").setUp()
		const n = 64
		flows, sheets := make([]login.View, n), make([]recovery.Sheet, n)
		for i := range n { // none is held yet: nothing that an update could collide on
			u.network = fmt.Sprintf("198.51.100.%d", i)
			flows[i], sheets[i] = u.makes()
		}
		kept := together(n, func(i int) bool {
			one := *u
			_, err := one.keeps(flows[i], sheets[i])
			if err != nil && !fault.Of(err, fault.Conflict) {
				t.Error(err)
			}
			return err == nil
		})
		if live := h.held(u, authn.Recovery); kept == 0 || len(live) != 1 {
			t.Fatalf("%d were told that they have codes, %d sheets live", kept, len(live))
		}
		// The race itself is rare; that the database would refuse the second of two firsts is seen directly.
		err := h.store.Write(context.Background(), func(tx *sqlstore.Tx) error {
			return tx.AddCredential(authn.Credential{ID: newID(), Realm: h.realm.ID, Person: u.id, Kind: authn.Recovery, State: authn.Active, Data: []byte("[]"), Created: h.clock.now()})
		})
		if !fault.Of(err, fault.Exists) {
			t.Errorf("two live sheets: %v", err)
		}
		first := u.codes()
		second := u.codes()
		o := u.elsewhere()
		v := o.loses()
		_, err = o.prove(v, authn.Recovery, first[0])
		wantCode(t, err, "recovery-wrong")
		if v = o.proves(v, authn.Recovery, second[0]); v.Step.Act != authn.ActBind {
			t.Errorf("%+v", v.Step)
		}
		if !u.signedIn() {
			t.Error("new codes ended the session they were made in")
		}
	})
}

func TestSEC_H4_NewCodesNeedAFreshSignIn(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", "member").setUp()
		h.clock.advance(6 * time.Minute)
		v, err := h.login.Begin(context.Background(), u.caller(), login.Start{Goal: authn.Goal{Bind: authn.Recovery, Way: authn.ByEnrol}})
		must(t, err)
		expect(t, v, authn.ActProve, authn.Password)
		if _, ok := recovery.Read(v.Question); ok {
			t.Error("codes are shown to an old session")
		}
		v = u.proves(v, authn.Password, u.password)
		expect(t, v, authn.ActProve, authn.TOTP)
		v = u.proves(v, authn.TOTP, u.code())
		expect(t, v, authn.ActBind, authn.Recovery)
	})
}

// Whoever runs the desk sees sheets come to their end before the calls come.
func TestSEC_H4_WhatIsLeftOfASheetIsCounted(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		var counted []string
		h.login.Count = func(metric string, labels ...string) {
			if metric == "recovery_code" {
				counted = append(counted, strings.Join(labels, " "))
			}
		}
		u := h.person("Anna", "member").setUp()
		codes := u.codes()
		for i, code := range []string{codes[0], "ZZZZ-ZZZZ-ZZZZ-ZZZZ", codes[0], codes[1]} {
			o := u.elsewhere()
			if _, err := o.prove(o.loses(), authn.Recovery, code); (err == nil) != (i == 0 || i == 3) {
				t.Fatalf("%d: %v", i, err)
			}
		}
		if want := []string{"what made left all", "what used left 9", "what used left 8"}; !slices.Equal(counted, want) {
			t.Errorf("counted %q, want %q", counted, want)
		}
	})
}
