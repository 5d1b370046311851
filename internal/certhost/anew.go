package certhost

import (
	"time"

	"doorward/internal/activation"
	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/pki"
)

// lastCertificates is how many certificates of a person are looked through for the one that was used last.
const lastCertificates = 200

// Missing implements login.Certificates: the agent reads that the call is about a new certificate, for which device, and how
// the one before stands. Nobody but its owner has a hand in the new one, so nobody is kept from the call for that.
func (d *Desk) Missing(tx login.Tx, f authn.Flow) (activation.Device, error) {
	all, err := tx.CertificatesOf(f.Realm, f.Person, lastCertificates)
	if err != nil {
		return activation.Device{}, err
	}
	last, ok := pki.Last(all)
	if !ok {
		return activation.Device{}, nil
	}
	was := last.Standing(d.Clock())
	if was == pki.Issued {
		was = pki.Active
	}
	return activation.Device{New: last.Name, Was: string(was)}, nil
}

// made reports whether a certificate was made for a flow.
func (d *Desk) made(tx login.Tx, f authn.Flow, on pki.Certificate) (bool, error) {
	parcels, err := tx.ParcelsOf(on.Realm, on.Person, lastParcels)
	for _, p := range parcels {
		if p.Certificate == on.ID {
			return p.OfFlow(d.Ring.Hash, f.ID), err
		}
	}
	return false, err
}

// Confirmed implements login.Certificates: the certificate that was made for a flow was shown in it, and counts from now on.
// One that was suspended, and in whose place it comes, ends: a hold that is lifted later, or was meanwhile, does not leave two in
// use. What has run out or was revoked stays so. Owner and contact are told. It fails with fault.Conflict where the certificate is not pending any more, or
// was made for another flow.
func (d *Desk) Confirmed(tx login.Tx, r login.Rise, c authn.Credential) error {
	now, realm := r.Flow.Now, r.Realm.Realm
	on, err := tx.Certificate(realm.ID, c.ID)
	if err != nil {
		return err
	}
	if made, err := d.made(tx, r.Flow, on); err != nil || !made {
		return notMade(err)
	}
	if err := tx.ConfirmCertificate(realm.ID, on.ID, now); err != nil {
		return err
	}
	note := audit.Event{
		Realm: realm.ID, At: now, Type: "credential.enrolled", Flow: r.Flow.ID, Actor: r.Person.ID, Person: r.Person.ID, Organization: r.Person.Organization,
		Network: r.Caller.Network, Browser: r.Caller.Agent,
		Data: map[string]string{"kind": string(authn.Cert), "name": on.Name, "credential": on.ID},
	}
	if err := tx.Audit(note); err != nil {
		return err
	}
	if err := d.supersede(tx, note, on, now); err != nil {
		return err
	}
	if d.Count != nil {
		d.Count("certificate_renewal", "what", "confirmed")
	}
	tell := func(to directory.Person, template string, args map[string]string) error {
		return tx.Enqueue(login.Notice(realm, to, r.Person, template, now, r.Caller.Network, r.Caller.Agent, args))
	}
	if err := tell(r.Person, "factor-replaced", map[string]string{"factor": on.Name, "kind": string(authn.Cert)}); err != nil || r.Person.Contact == "" {
		return err
	}
	p, err := tx.Person(realm.ID, r.Person.Contact)
	if fault.Of(err, fault.NotFound) || err == nil && (!p.Role.Staff() || p.State.Shut()) {
		return nil
	}
	if err != nil {
		return err
	}
	return tell(p, "certificate-renewed-console", map[string]string{"name": r.Person.Name, "address": r.Person.Address, "certificate": on.Name})
}

func notMade(err error) error {
	if err != nil {
		return err
	}
	return fault.New(fault.Conflict, "stale")
}

// supersede ends a certificate whose place is taken: it was suspended when that began.
func (d *Desk) supersede(tx login.Tx, note audit.Event, on pki.Certificate, now time.Time) error {
	if on.Replaces == "" {
		return nil
	}
	old, err := tx.Certificate(on.Realm, on.Replaces)
	if fault.Of(err, fault.NotFound) || err == nil && (old.State == pki.Revoked || old.Standing(now) == pki.Expired) {
		return nil
	}
	if err != nil {
		return err
	}
	old.Ends = now
	if err := tx.UpdateCertificate(old); err != nil {
		return err
	}
	note.Type, note.Data = "certificate.replaced", map[string]string{"name": on.Name, "certificate": on.ID, "old": old.ID, "until": now.UTC().Format(time.RFC3339)}
	return tx.Audit(note)
}
