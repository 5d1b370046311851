package renewal

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"doorward/internal/authn"
	"doorward/internal/certify"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/keyfile"
	"doorward/internal/login"
	"doorward/internal/pki"
	"doorward/internal/secret"
)

// Flows are the flows of login.
type Flows interface {
	Look(ctx context.Context, c login.Caller, flow string) (login.View, error)
}

// Anew is where somebody stands who gets a certificate in a flow, because they have none that lives (REQ A54).
type Anew struct {
	View login.View
	Old  pki.Certificate // what they had last
	New  pki.Certificate // zero until it was made in this flow
	File keyfile.Parcel  // of the new one, without what is sealed

	tries   int
	others  []string // ids of what waits for other flows of this person, or was cut short
	another bool     // they have one that lives
}

// Made, Said and Fetched report how far it came.
func (a Anew) Made() bool    { return a.New.ID != "" }
func (a Anew) Said() bool    { return !a.File.Said.IsZero() }
func (a Anew) Fetched() bool { return a.File.State == keyfile.Fetched }

// Anew is where a flow stands that may make a certificate now: what remains was shown, and a call confirmed. Errors: those of
// login.Look; fault.Conflict "not-expected" where the flow is somewhere else.
func (s *Service) Anew(ctx context.Context, c login.Caller, flow string) (a Anew, err error) {
	if a.View, err = s.Flows.Look(ctx, c, flow); err != nil {
		return a, err
	}
	err = s.Store.Read(ctx, func(tx Tx) error {
		a, err = s.anew(tx, a.View)
		return err
	})
	return a, err
}

func (s *Service) anew(tx Tx, v login.View) (a Anew, err error) {
	a.View = v
	if v.Flow.Goal != authn.Anew || !v.Step.Accepts(authn.ActBind, authn.Cert) {
		return a, fault.New(fault.Conflict, "not-expected")
	}
	all, err := tx.CertificatesOf(v.Person.Realm, v.Person.ID, listed)
	if err != nil {
		return a, err
	}
	parcels, err := tx.ParcelsOf(v.Person.Realm, v.Person.ID, listed)
	if err != nil {
		return a, err
	}
	now, files := s.Clock(), map[string]keyfile.Parcel{}
	for _, p := range parcels {
		if p.OfFlow(s.Ring.Hash, v.Flow.ID) {
			p.File, p.Password = nil, nil
			files[p.Certificate] = p
		}
	}
	for _, one := range all {
		p, own := files[one.ID]
		if own && one.State != pki.Reserved { // a file that was stored between the two look-ups is not counted: it has the link that is tried next
			a.tries++
		}
		switch {
		case one.State == pki.Pending && own:
			a.New, a.File = one, p
		case one.State == pki.Pending, one.State == pki.Reserved && !now.Before(one.Created.Add(cut)):
			a.others = append(a.others, one.ID)
		}
		a.another = a.another || one.Live(now)
	}
	a.Old, _ = pki.Last(all)
	for next := successor(all, a.Old.ID); a.Old.ID != "" && next != "" && next != a.New.ID && !slices.Contains(a.others, next); next = successor(all, a.Old.ID) {
		a.Old = all[slices.IndexFunc(all, func(c pki.Certificate) bool { return c.ID == next })]
	}
	return a, nil
}

// by is who stands in a flow, as the trail and mails name them.
func (a Anew) by(c login.Caller) login.By {
	return login.By{
		Signed:  login.Signed{Person: a.View.Person, Realm: a.View.Realm, Organization: directory.Organization{ID: a.View.Person.Organization}},
		Network: c.Network, Agent: c.Agent,
	}
}

// Make makes a new key and certificate for the device of the last one, or, where that was revoked, for a device of the same
// name, in a file for its system. What other flows of the person have made and not shown is revoked before.
//
// Errors: those of Anew; fault.Invalid "target-unknown" (target); fault.Exists "certificate-succeeded" where this flow has made
// one; fault.Conflict "certificate-other" where there is one that lives, or none to take the place of, and "stale" where the flow moved
// on meanwhile; fault.Throttled "too-many-attempts" after keyfile.Tries; what the issuer returns.
func (s *Service) Make(ctx context.Context, c login.Caller, flow string, target keyfile.Target) (made pki.Certificate, err error) {
	if target, err = keyfile.ParseTarget(string(target)); err != nil {
		return made, err
	}
	a, err := s.Anew(ctx, c, flow)
	if err != nil {
		return made, err
	}
	switch {
	case a.Made():
		return made, fault.New(fault.Exists, "certificate-succeeded")
	case a.another || a.Old.ID == "":
		return made, fault.New(fault.Conflict, "certificate-other")
	case a.tries >= keyfile.Tries:
		return made, fault.New(fault.Throttled, "too-many-attempts")
	}
	by := a.by(c)
	for _, row := range a.others {
		if err := s.withdraw(ctx, by, row); err != nil {
			return made, err
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return made, fmt.Errorf("renewal: %w", err)
	}
	o := certify.Order{
		Realm: by.Person.Realm, Person: by.Person.ID, Organization: by.Person.Organization, Device: a.Old.Device, Name: a.Old.Name,
		Key: key.Public(), Requester: by.Person.ID, Replaces: a.Old.ID, Pending: true, By: actor(by),
		Stored: func(tx certify.Tx, c pki.Certificate) error {
			return certify.Within(tx, func(tx Tx) error { return s.await(tx, a, by, c, key, target) })
		},
	}
	if a.Old.State == pki.Revoked { // nothing takes its place
		o.Device, o.Replaces = "", ""
	}
	made, err = s.Issuer.Issue(ctx, o)
	if err != nil && made.ID != "" {
		return made, errors.Join(err, s.discard(context.WithoutCancel(ctx), by, made.ID))
	}
	if err == nil {
		s.count("anew")
	}
	return made, err
}

// await stores the file of a pending certificate, as long as its flow stands where it stood.
func (s *Service) await(tx Tx, a Anew, by login.By, made pki.Certificate, key *ecdsa.PrivateKey, target keyfile.Target) error {
	now := s.Clock()
	f, err := tx.Flow(made.Realm, a.View.Flow.ID)
	if err != nil {
		return err
	}
	if f.State != authn.FlowOpen || f.Version != a.View.Flow.Version || !now.Before(f.Expires) {
		return fault.New(fault.Conflict, "stale")
	}
	if err := s.wrap(tx, made, key, target, keyfile.FlowLink(s.Ring.Hash, f.ID, a.tries), now, f.Expires); err != nil {
		if fault.Of(err, fault.Exists) { // another tab was quicker
			return fault.New(fault.Exists, "certificate-succeeded").Because(err)
		}
		return err
	}
	return s.noted(tx, by, f, now, "certificate.renewed", map[string]string{
		"name": made.Name, "certificate": made.ID, "old": a.Old.ID, "target": string(target), "until": made.NotAfter.UTC().Format(time.DateOnly),
	})
}

func (s *Service) noted(tx Tx, by login.By, f authn.Flow, now time.Time, kind string, data map[string]string) error {
	e := by.Event(now, kind, "", data)
	e.Flow = f.ID
	return tx.Audit(e)
}

// SayAnew shows the password of the file that a flow has made, once, and erases it; FetchAnew gives out the file, once. Errors: those of Anew;
// fault.NotFound where nothing was made; fault.Expired "password-said", "parcel-fetched", "parcel-ended".
func (s *Service) SayAnew(ctx context.Context, c login.Caller, flow string) (password secret.Text, err error) {
	err = s.made(ctx, c, flow, func(tx Tx, by login.By, p keyfile.Parcel) error {
		password, err = s.say(tx, by, p, s.Clock())
		return err
	})
	if err != nil {
		return "", err
	}
	s.count("said")
	return password, nil
}

// FetchAnew is described at SayAnew.
func (s *Service) FetchAnew(ctx context.Context, c login.Caller, flow string) (name string, file []byte, err error) {
	err = s.made(ctx, c, flow, func(tx Tx, by login.By, p keyfile.Parcel) error {
		name, file, err = s.give(tx, by, p, s.Clock())
		return err
	})
	if err != nil {
		return "", nil, err
	}
	s.count("fetched")
	return name, file, nil
}

// made loads what a flow has made, in the transaction that gives it out.
func (s *Service) made(ctx context.Context, c login.Caller, flow string, take func(Tx, login.By, keyfile.Parcel) error) error {
	v, err := s.Flows.Look(ctx, c, flow)
	if err != nil {
		return err
	}
	return s.Store.Write(ctx, func(tx Tx) error {
		a, err := s.anew(tx, v)
		if err != nil {
			return err
		}
		if !a.Made() {
			return fault.New(fault.NotFound, "not-found")
		}
		p, err := tx.ParcelOf(a.New.Realm, a.New.ID)
		if err != nil {
			return err
		}
		if p.State == keyfile.Ended || p.State == keyfile.Ready && !p.Open(s.Clock()) {
			return fault.New(fault.Expired, "parcel-ended")
		}
		return take(tx, a.by(c), p)
	})
}

// Withdraw gives up what a flow has made, so that it can make another one: the file was lost, or its password. Errors: those
// of Anew; fault.NotFound where nothing was made.
func (s *Service) Withdraw(ctx context.Context, c login.Caller, flow string) error {
	a, err := s.Anew(ctx, c, flow)
	if err != nil {
		return err
	}
	if !a.Made() {
		return fault.New(fault.NotFound, "not-found")
	}
	if err := s.withdraw(ctx, a.by(c), a.New.ID); err != nil {
		return err
	}
	s.count("given-up")
	return nil
}

func (s *Service) withdraw(ctx context.Context, by login.By, id string) error {
	return s.Issuer.Revoke(ctx, certify.Changed{
		Realm: by.Person.Realm, ID: id, Reason: pki.Cessation, Organization: by.Person.Organization, By: actor(by), Stored: s.unused,
	})
}

// unused is emptied for what must not be ended once it was shown.
func (s *Service) unused(tx certify.Tx, c pki.Certificate) error {
	if !c.FirstUsed.IsZero() {
		return fault.New(fault.Conflict, "certificate-other")
	}
	return s.emptied(tx, c)
}
