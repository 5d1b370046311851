package login

import (
	"context"
	"time"

	"doorward/internal/activation"
	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/helpdesk"
	"doorward/internal/keyfile"
	"doorward/internal/mail"
	"doorward/internal/pki"
	"doorward/internal/session"
)

// Tx is what running flows needs of one transaction.
type Tx interface {
	Person(realm, id string) (directory.Person, error)
	PersonByAddress(realm, address string) (directory.Person, error)
	UpdatePerson(directory.Person) error
	HoldPerson(directory.Person) error // as they were read: Conflict "stale" where they were shut out or moved meanwhile
	SignedIn(realm, person string, now time.Time) error
	Organization(realm, id string) (directory.Organization, error)

	Credentials(realm, person string) ([]authn.Credential, error)
	SightingByBack(realm string, back []byte) (authn.Sighting, error)
	Authorities(realm string) ([]pki.Authority, error)
	Certificate(realm, id string) (pki.Certificate, error)
	CertificatesOf(realm, person string, limit int) ([]pki.Certificate, error)
	CertificateBySerial(realm, issuer, serial string) (pki.Certificate, error)
	UseCertificate(realm, id string, at time.Time) error
	UpdateCertificate(pki.Certificate) error
	ConfirmCertificate(realm, id string, at time.Time) error
	KindsEver(realm, person string) ([]authn.Kind, error)
	AddCredential(authn.Credential) error
	UpdateCredential(authn.Credential) error

	AddFlow(authn.Flow) error
	Flow(realm, id string) (authn.Flow, error)
	UpdateFlow(authn.Flow) error
	VoidFlows(realm, person, exceptID string) (int, error)

	AddOneTime(authn.OneTime) error
	OneTimeByHash(kind authn.Kind, hash []byte) (authn.OneTime, error)
	OneTimes(realm, person string, kind authn.Kind) ([]authn.OneTime, error)
	UseOneTime(id string, kind authn.Kind, now time.Time) error
	LeadOneTime(id, from, to string) error
	VoidOneTimes(realm, person string, kind authn.Kind, purpose string, now time.Time) (int, error) // every purpose where it is empty

	Spend(key string, expires time.Time) (fresh bool, err error)
	Reserve(key string, limit int, window time.Duration, now time.Time) (ok bool, retry time.Duration, err error)
	Release(key string) error
	Clear(key string) error

	AddSession(session.Session) error
	RenewSession(session.Session) error
	SessionByHash(hash []byte) (session.Session, error)
	Session(realm, id string) (session.Session, error)
	TouchSession(id string, seen time.Time) error
	EndSession(realm, person, id, why string, now time.Time) (bool, error)
	EndSessions(realm, person, exceptID, why string, now time.Time) (int, error)
	Sessions(realm, person string) ([]session.Session, error)
	ForgetDevices(realm, person, exceptID string) (int, error)
	AddDevice(session.Device) error
	DeviceByHash(hash []byte) (session.Device, error)
	TouchDevice(id string, seen time.Time) error

	AddActivation(activation.Activation) error
	ActivationOfFlow(flow string) (activation.Activation, error)
	ReplaceActivations(flow string, now time.Time) error
	ParcelsOf(realm, person string, limit int) ([]keyfile.Parcel, error)
	UseActivation(id string, now time.Time) error

	HelpRequest(realm, id string) (helpdesk.Request, error)
	HelpRequestsLive(realm, person string) ([]helpdesk.Request, error)
	UpdateHelpRequest(helpdesk.Request) error

	ExemptionOf(realm, person string) (helpdesk.Exemption, error)
	UseExemption(realm, person string, now time.Time) (helpdesk.Exemption, error)
	AddDelay(realm, rollout, person string, now time.Time) error

	AddAcceptance(directory.Acceptance) error
	Acceptances(realm, person string) ([]directory.Acceptance, error)
	Preferences(realm, person string) ([]directory.Preference, error)
	PutPreference(realm string, p directory.Preference) error
	Administrators(realm, organization string) ([]directory.Person, error)

	Audit(audit.Event) error
	Enqueue(mail.Message) error
	Bump()
}

// Store begins transactions.
type Store interface {
	Read(context.Context, func(Tx) error) error
	Write(context.Context, func(Tx) error) error
}
