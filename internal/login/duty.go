package login

import (
	"context"
	"crypto/sha256"
	"strings"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
)

// Done is the answer to a duty.
type Done struct {
	Duty     authn.Duty
	Typed    string          // terms: the address the person typed
	Read     bool            // terms: "I have read them to the end"
	Version  string          // terms: the version they saw
	Language string          // terms: the language they saw
	Topics   map[string]bool // preferences: what is on; everything else is off
}

// Perform does a duty: it keeps the proof and goes on. The last duty lets the person in.
//
// Errors: fault.Invalid "terms-read" (field read), "terms-address" (field email), fault.Conflict "terms-changed" when
// another version came into force meanwhile, and those of Prove.
func (s *Service) Perform(ctx context.Context, c Caller, id string, d Done) (View, error) {
	now := s.Clock()
	var st standing
	var v View
	err := s.Store.Write(ctx, func(tx Tx) error {
		v = View{}
		f, err := s.own(tx, c, id, now)
		if err != nil {
			return err
		}
		if st, err = s.stand(tx, f); err != nil {
			return err
		}
		if st.step.Act != authn.ActPerform || st.step.Duty != d.Duty {
			return fault.New(fault.Conflict, "not-expected")
		}
		switch d.Duty {
		case authn.Terms:
			err = s.accept(tx, c, st, d)
		case authn.Preferences:
			err = s.prefer(tx, c, st, d)
		default:
			err = fault.New(fault.Conflict, "not-expected")
		}
		if err != nil {
			return err
		}
		if st, err = s.stand(tx, f); err != nil {
			return err
		}
		v.Minted, v.Finished, v.Browser, err = s.arrive(ctx, tx, c, &st)
		return err
	})
	if err != nil {
		return View{}, err
	}
	shown, err := s.view(ctx, st)
	shown.Minted, shown.Finished, shown.Browser = v.Minted, v.Finished, v.Browser
	return shown, err
}

// accept keeps the proof of REQ B24: version, language, hash of the text shown, time, network, and what was typed.
func (s *Service) accept(tx Tx, c Caller, st standing, d Done) error {
	if d.Version != st.realm.Terms.Version {
		return fault.New(fault.Conflict, "terms-changed")
	}
	if !d.Read {
		return fault.New(fault.Invalid, "terms-read").In("read")
	}
	typed, err := directory.Canonical(d.Typed)
	if err != nil || typed != st.person.Address {
		return fault.New(fault.Invalid, "terms-address").In("email")
	}
	language := d.Language
	if _, ok := st.realm.Terms.Text[language]; !ok {
		language = st.realm.Languages[0]
	}
	hash := TermsHash(st.realm.Terms.Text.For(language))
	if err := tx.AddAcceptance(directory.Acceptance{
		ID: newID(), Realm: st.realm.ID, Person: st.person.ID, Version: d.Version, Language: language, Hash: hash,
		Typed: strings.TrimSpace(d.Typed), At: st.flow.Now, Network: c.Network, Browser: c.Agent,
	}); err != nil {
		return err
	}
	if err := tx.Enqueue(s.message(st, "terms-accepted", c, map[string]string{
		"version": d.Version, "language": language, "hash": hash,
	})); err != nil {
		return err
	}
	return tx.Audit(s.event(c, st.flow, "terms.accepted", audit.Event{
		Organization: st.person.Organization,
		Data:         map[string]string{"version": d.Version, "language": language, "hash": hash},
	}))
}

// TermsHash is the fingerprint of a text of terms kept in proofs: SHA-256, hex.
func TermsHash(text string) string {
	h := sha256.Sum256([]byte(text))
	return hexed(h[:])
}

// prefer stores every topic of the realm, on or off, so that "asked and said no" differs from "never asked".
func (s *Service) prefer(tx Tx, c Caller, st standing, d Done) error {
	data := map[string]string{}
	for _, t := range st.realm.Topics {
		on := d.Topics[t.ID]
		if err := tx.PutPreference(st.realm.ID, directory.Preference{Person: st.person.ID, Topic: t.ID, On: on, Changed: st.flow.Now}); err != nil {
			return err
		}
		data[t.ID] = map[bool]string{true: "on", false: "off"}[on]
	}
	return tx.Audit(s.event(c, st.flow, "preferences.changed", audit.Event{Organization: st.person.Organization, Data: data}))
}

// Decline refuses the terms (REQ B26): the flow ends, nobody is let in, and the organization's administrators are told.
// The person can come back and accept at any time.
func (s *Service) Decline(ctx context.Context, c Caller, id string) error {
	return s.Store.Write(ctx, func(tx Tx) error {
		f, err := s.own(tx, c, id, s.Clock())
		if err != nil {
			return err
		}
		st, err := s.stand(tx, f)
		if err != nil {
			return err
		}
		if st.step.Act != authn.ActPerform || st.step.Duty != authn.Terms {
			return fault.New(fault.Conflict, "not-expected")
		}
		f.State = authn.FlowVoid
		if err := tx.UpdateFlow(f); err != nil {
			return err
		}
		if err := s.endCaller(tx, c, f.Realm, "terms-declined", f.Now); err != nil {
			return err
		}
		if err := s.notifyAdministrators(tx, st, c, "terms-declined", map[string]string{
			"name": st.person.Name, "address": st.person.Address, "version": st.realm.Terms.Version,
		}); err != nil {
			return err
		}
		return tx.Audit(s.event(c, f, "terms.declined", audit.Event{
			Organization: st.person.Organization, Data: map[string]string{"version": st.realm.Terms.Version},
		}))
	})
}
