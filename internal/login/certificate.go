package login

import (
	"time"

	"doorward/internal/activation"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/session"
)

// Certificates know what browsers have shown at the host for certificates (certhost.Desk).
type Certificates interface {
	// Presented finds what the ticket back leads to in a flow, and what is on record about it: one credential, with the
	// record as Data, or none. p is nil where the ticket leads to nothing in this flow. It judges nothing.
	Presented(tx Tx, f authn.Flow, ticket string) (p *authn.Presented, on []authn.Credential, err error)
	// Used notes in its own row, where everything about it stands, that a certificate was shown; c is the credential of
	// Presented. It fails with fault.Conflict where the certificate has stopped living since.
	Used(tx Tx, realm *Realm, c authn.Credential, at time.Time) error
	// Device is what an agent sees of a certificate that was shown in a flow that waits for a call.
	Device(tx Tx, realm, certificate string) (activation.Device, error)
	// Missing is what an agent sees of the certificate in whose place a flow is to get a new one.
	Missing(tx Tx, f authn.Flow) (activation.Device, error)
	// Confirmed makes the certificate that was made for a flow, and shown in it, one that counts; r has no session.
	Confirmed(tx Tx, r Rise, c authn.Credential) error
	// Risen is told of every new session in its own transaction.
	Risen(tx Tx, r Rise) error
}

// Rise is a session that begins.
type Rise struct {
	Caller  Caller
	Realm   *Realm
	Person  directory.Person
	Flow    authn.Flow
	Session session.Session
}

// presented is load for a certificate. It must be that of whoever signs in: of the person of the flow, or, while nobody is
// known yet, of the address that was typed. Whether that address is anybody's makes no difference (REQ A22).
func (p *proving) presented(tx Tx, f authn.Flow) (err error) {
	if p.s.Certificates == nil {
		return fault.New(fault.Conflict, "not-expected")
	}
	p.typed = true
	if p.a.Presented, p.stored, err = p.s.Certificates.Presented(tx, f, p.a.Text); err != nil || len(p.stored) == 0 {
		return err
	}
	p.who = p.stored[0].Person
	p.other = p.st.device != "" && p.stored[0].ID != p.st.device
	if f.Person == "" {
		owner, err := tx.Person(f.Realm, p.who)
		if err != nil {
			return err
		}
		p.typed = owner.Address == f.Address
	}
	return nil
}

// wrong says why good evidence does not count in this flow: it names another person (R2), or is another certificate than the
// one that the call followed (authn, E20).
func (p *proving) wrong(f authn.Flow) error {
	if f.Person != "" && p.shown.Credential.Person != f.Person || p.a.Kind == authn.Cert && !p.typed {
		return authn.Reject("evidence-of-another")
	}
	if p.other {
		return authn.Reject("certificate-not-called")
	}
	return nil
}

// first is what would be asked of a person at the beginning of a flow, by the policy that counts for them alone.
func (s *Service) first(tx Tx, realm *Realm, p directory.Person, f authn.Flow) (authn.Step, error) {
	org, err := tx.Organization(p.Realm, p.Organization)
	if err != nil {
		return authn.Step{}, err
	}
	rules, err := s.rules(realm, p, org, f.Goal)
	return authn.Next(rules, authn.Person{}, f), err
}

// anybody is the first step of a visitor of whom nobody knows yet whether they are a member, an administrator or staff.
func (s *Service) anybody(realm *Realm, f authn.Flow) (authn.Step, error) {
	var all []authn.Rules
	for _, role := range []directory.Role{directory.Member, directory.Administrator, directory.Owner} {
		rules, err := s.rules(realm, directory.Person{Role: role}, directory.Organization{}, f.Goal)
		if err != nil {
			return authn.Step{}, err
		}
		all = append(all, rules)
	}
	return authn.Anybody(f, all...), nil
}

// candidate finds whose credentials to compare while the flow has no person: the owner of the typed address. Nobody is
// no error; the method then does the same work against nothing. Nor is anybody whose own policy names them by another kind
// first: where members show a certificate before anything else, a stranger cannot try passwords against them (REQ A31).
func (p *proving) candidate(tx Tx, f authn.Flow) (who string, stored []authn.Credential, err error) {
	person, err := tx.PersonByAddress(f.Realm, f.Address)
	if fault.Of(err, fault.NotFound) {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, err
	}
	first, err := p.s.first(tx, p.st.realm, person, f)
	if err != nil || !first.Accepts(authn.ActProve, p.a.Kind) {
		return "", nil, err
	}
	all, err := tx.Credentials(f.Realm, person.ID)
	if all = authn.Lasting(all, p.now); f.Goal == authn.Anew && len(ofKind(all, authn.Cert)) > 0 {
		return "", nil, err // who holds one shows it
	}
	return person.ID, ofKind(all, p.a.Kind), err
}
