package certhost

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"doorward/internal/activation"
	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/pki"
	"doorward/internal/secret"
	"doorward/internal/session"
)

// Desk is where login asks about certificates. The rules:
//
//   - What was shown leads into the one flow that its ticket was made for, and only for as long as the ticket lives.
//   - Of the realm's CAs those count that are trusted now, of certificates the one on record under issuer and serial.
//   - A certificate in use in two browsers at once is told to its owner, their contact and whoever issued it (REQ A4).
type Desk struct {
	Ring   *secret.Ring
	Method authn.Identifier // devicecert
	Clock  func() time.Time
	Count  func(metric string, labels ...string) // may be nil
}

var _ login.Certificates = (*Desk)(nil)

// Presented implements login.Certificates.
func (d *Desk) Presented(tx login.Tx, f authn.Flow, ticket string) (*authn.Presented, []authn.Credential, error) {
	seen, err := tx.SightingByBack(f.Realm, backHash(d.Ring, ticket))
	switch {
	case fault.Of(err, fault.NotFound), err == nil && (seen.Flow != f.ID || len(seen.Leaf) == 0 || !d.Clock().Before(seen.Expires)):
		return nil, nil, nil
	case err != nil:
		return nil, nil, err
	}
	p := &authn.Presented{Sighting: seen.ID, Expires: seen.Expires, Leaf: seen.Leaf}
	on, err := d.onRecord(tx, f.Realm, p)
	if err != nil || on.ID == "" {
		return p, nil, err
	}
	if on.State == pki.Pending { // made for a flow: in any other it is as if nobody knew it
		if made, err := d.made(tx, f, on); err != nil || !made {
			return p, nil, err
		}
	}
	credential, err := credentialOf(on)
	return p, []authn.Credential{credential}, err
}

// RecordTx is what Judge needs of a transaction.
type RecordTx interface {
	Authorities(realm string) ([]pki.Authority, error)
	CertificateBySerial(realm, issuer, serial string) (pki.Certificate, error)
}

// Judge judges a certificate that was shown on the connection that asks, in no flow, by the rules of every sign-in: it is no
// evidence and lets nobody in. It rejects with a code of devicecert; the certificate on record, if there is one, comes along.
func (d *Desk) Judge(ctx context.Context, tx RecordTx, realm string, leaf []byte) (on pki.Certificate, err error) {
	p := &authn.Presented{Leaf: leaf}
	if on, err = d.onRecord(tx, realm, p); err != nil {
		return on, err
	}
	var stored []authn.Credential
	if on.ID != "" {
		credential, err := credentialOf(on)
		if err != nil {
			return on, err
		}
		stored = append(stored, credential)
	}
	_, err = d.Method.Verify(ctx, authn.Flow{Realm: realm, Now: d.Clock()}, stored, authn.Answer{Kind: authn.Cert, Presented: p})
	return on, err
}

// onRecord fills in the realm's CAs that count, and finds what is on record under the certificate that was shown; the zero
// Certificate where nothing is.
func (d *Desk) onRecord(tx RecordTx, realm string, p *authn.Presented) (on pki.Certificate, err error) {
	authorities, err := tx.Authorities(realm)
	if err != nil {
		return on, err
	}
	for _, a := range authorities {
		if a.Class == pki.Issuing && a.Trusted(d.Clock()) {
			p.Issuers = append(p.Issuers, a.DER)
		}
	}
	issuer, serial, err := d.Method.Identify(authn.Answer{Kind: authn.Cert, Presented: p})
	if errors.Is(err, authn.ErrRejected) {
		return on, nil
	}
	if err != nil {
		return on, err
	}
	on, err = tx.CertificateBySerial(realm, issuer, serial)
	if fault.Of(err, fault.NotFound) {
		return pki.Certificate{}, nil
	}
	return on, err
}

func credentialOf(on pki.Certificate) (authn.Credential, error) {
	data, err := json.Marshal(on)
	return authn.Credential{
		ID: on.ID, Realm: on.Realm, Person: on.Person, Kind: authn.Cert, Name: on.Name, Created: on.Created, Data: data,
	}, err
}

// Device implements login.Certificates: the certificate's fingerprint as words, and everybody of the staff who had a hand in
// it: who asked for it, who approved it, who sent its file, and who said the file's password. None of them takes its call.
func (d *Desk) Device(tx login.Tx, realm, certificate string) (activation.Device, error) {
	on, err := tx.Certificate(realm, certificate)
	if err != nil {
		return activation.Device{}, err
	}
	device := activation.Device{
		Name: on.Name, Words: strings.Join(pki.Words(on.DER), " "), Certificate: on.ID, Issuers: []string{on.Requester, on.Approver},
	}
	parcels, err := tx.ParcelsOf(realm, on.Person, lastParcels)
	for _, p := range parcels {
		if p.Certificate == on.ID {
			device.Issuers = append(device.Issuers, p.Sender, p.Contact)
		}
	}
	slices.Sort(device.Issuers)
	device.Issuers = slices.DeleteFunc(slices.Compact(device.Issuers), func(id string) bool { return id == "" })
	return device, err
}

// lastParcels is how many files of a person are looked through for the one of a certificate that is shown now.
const lastParcels = 50

// Risen implements login.Certificates: it looks whether the certificate that a new session stands on is in use in another
// browser at this moment. Its key was copied then, or its device is a shared one. Mails go out once a day.
func (d *Desk) Risen(tx login.Tx, r login.Rise) error {
	se, id := r.Session, shownBy(r.Session)
	if id == "" {
		return nil
	}
	all, err := tx.Sessions(se.Realm, se.Person)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(o session.Session) bool {
		return o.ID != se.ID && o.Live(se.Created) && o.Device != se.Device && shownBy(o) == id
	})
	if i < 0 {
		return nil
	}
	on, err := tx.Certificate(se.Realm, id)
	if err != nil {
		return err
	}
	if err := tx.Audit(audit.Event{
		Realm: se.Realm, At: se.Created, Type: "certificate.twice", Flow: r.Flow.ID, Session: se.ID, Actor: se.Person, Person: se.Person,
		Organization: r.Person.Organization, Network: r.Caller.Network, Browser: r.Caller.Agent,
		Data: map[string]string{"name": on.Name, "certificate": id, "other": all[i].Network, "other_browser": all[i].Browser},
	}); err != nil {
		return err
	}
	if r.Realm.Certificates.Twice {
		if err := suspend(tx, r, on); err != nil {
			return err
		}
	}
	if first, _, err := tx.Reserve("twice:"+id, 1, 24*time.Hour, se.Created); err != nil || !first {
		return err
	}
	if d.Count != nil {
		d.Count("certificate_twice")
	}
	tell := func(to directory.Person, template string, args map[string]string) error {
		args["device_browser"], args["device_network"] = all[i].Browser, all[i].Network
		return tx.Enqueue(login.Notice(r.Realm.Realm, to, r.Person, template, se.Created, r.Caller.Network, r.Caller.Agent, args))
	}
	if err := tell(r.Person, "certificate-twice", map[string]string{"name": on.Name}); err != nil {
		return err
	}
	staff := []string{r.Person.Contact, on.Approver}
	slices.Sort(staff)
	for _, id := range slices.Compact(staff) {
		if id == "" || id == se.Person {
			continue
		}
		p, err := tx.Person(se.Realm, id)
		if fault.Of(err, fault.NotFound) || err == nil && (!p.Role.Staff() || p.State.Shut()) {
			continue
		}
		if err != nil {
			return err
		}
		if err := tell(p, "certificate-twice-console", map[string]string{"name": r.Person.Name, "address": r.Person.Address}); err != nil {
			return err
		}
	}
	return nil
}

// suspend keeps a certificate that is in use twice from being accepted until the desk has looked (certificates.suspend_twice):
// the session that begins ends with all others that were opened with it. One that moved on meanwhile is looked at by whoever
// signs in next.
func suspend(tx login.Tx, r login.Rise, on pki.Certificate) error {
	if on.State != pki.Issued && on.State != pki.Active {
		return nil
	}
	on.State, on.Reason, on.Ended = pki.Suspended, pki.Hold, r.Session.Created
	if err := tx.UpdateCertificate(on); err != nil {
		return err
	}
	return tx.Audit(audit.Event{
		Realm: on.Realm, At: r.Session.Created, Type: "certificate.suspended", Actor: "system", Person: on.Person, Organization: r.Person.Organization,
		Reason: "twice", Data: map[string]string{"name": on.Name, "certificate": on.ID, "serial": on.Serial, "why": "twice"},
	})
}

// shownBy is the certificate that a session stands on, empty for none.
func shownBy(se session.Session) string {
	for _, e := range se.Evidence {
		if e.Kind == authn.Cert {
			return e.Credential
		}
	}
	return ""
}
