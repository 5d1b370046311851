// Package devicecert knows the certificate of a person's device, as their browser shows it at the host for certificates.
//
// The rules of this package:
//
//   - TLS has proven that the browser's device has the key; which certificate counts is decided here, at every use, and
//     nothing is kept of an earlier one.
//   - Only the leaf is read. It must be signed, with the realm's own CA at hand and trusted, for client authentication and in
//     time: no other certificate that came along, no trust store and no name in it leads anywhere (SEC C-3, C-4).
//   - It is found by its issuer's key and its serial number, and must then be, byte for byte, the one on record. Subject
//     and addresses are not looked at.
//   - What is on record decides whether it lives: revoked, suspended, replaced and expired are each told to whoever has the
//     key, for they have to do something different about each. A certificate that is not ours is told as that and no more.
//   - Without a ticket of this very flow nothing was shown.
//   - One that was made for a flow (pki.Pending) is nobody's until it was shown in that flow. It enrols there, and is foreign
//     everywhere else, with whatever it is shown.
package devicecert

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"doorward/internal/authn"
	"doorward/internal/pki"
)

// Codes of rejections, each with words of its own.
const (
	TicketOver = "ticket-over"           // the way to the host was too long ago, was gone before, or was another flow's
	Foreign    = "certificate-foreign"   // of another CA, or not on record
	Early      = "certificate-early"     // its time has not come
	Ran        = "certificate-expired"   // its time is over
	Revoked    = "certificate-revoked"   // for good
	Suspended  = "certificate-suspended" // until somebody looks
	Replaced   = "certificate-replaced"  // another one took its place on this device
	NotThis    = "certificate-not-this"  // good or not, it is not the one that this flow waits for
)

// Method is the kind cert. It has no state.
type Method struct{}

var (
	_ authn.Identifier = Method{}
	_ authn.Enroller   = Method{}
)

// New makes the method.
func New() Method { return Method{} }

// Kind implements authn.Method.
func (Method) Kind() authn.Kind { return authn.Cert }

// Identify finds which CA of the realm has signed the certificate that was shown (Answer.Presented) and answers with
// what it is on record under: the hash of the issuer's key and the serial number. It rejects with "ticket-over" where
// nothing was shown in this flow, and with "certificate-foreign" what none of them has signed.
//
// Whether the certificate may count is for Verify: an expired one has to be found to be explained.
func (Method) Identify(a authn.Answer) (issuer, serial string, err error) {
	if a.Presented == nil {
		return "", "", authn.Reject(TicketOver)
	}
	leaf, err := x509.ParseCertificate(a.Presented.Leaf)
	if err != nil {
		return "", "", authn.Reject(Foreign)
	}
	for _, der := range a.Presented.Issuers {
		ca, err := x509.ParseCertificate(der)
		if err != nil {
			return "", "", fmt.Errorf("a certificate authority on record cannot be read: %w", err)
		}
		if bytes.Equal(leaf.RawIssuer, ca.RawSubject) && leaf.CheckSignatureFrom(ca) == nil {
			sum := sha256.Sum256(ca.RawSubjectPublicKeyInfo)
			return hex.EncodeToString(sum[:]), fmt.Sprintf("%032x", leaf.SerialNumber), nil
		}
	}
	return "", "", authn.Reject(Foreign)
}

// Verify judges the certificate that was shown. stored holds one credential whose Data is the pki.Certificate on record
// under what Identify found, as JSON, or nothing. It rejects with one of the codes above; "certificate-expired" has the
// end as Args["at"]. The sighting is spent with it.
func (m Method) Verify(_ context.Context, f authn.Flow, stored []authn.Credential, a authn.Answer) (authn.Shown, error) {
	shown, on, err := m.judge(f, stored, a)
	if err != nil {
		return shown, err
	}
	return shown, standing(on, f.Now)
}

// Enrol implements authn.Enroller: it judges the certificate that was made for this flow, as Verify would, with the one
// credential in stored that the flow waits for, or nothing. Any other certificate is "certificate-not-this".
func (m Method) Enrol(_ context.Context, f authn.Flow, stored []authn.Credential, a authn.Answer) (authn.Shown, error) {
	shown, on, err := m.judge(f, stored, a)
	switch {
	case err != nil:
		return shown, err
	case on.State != pki.Pending || on.Person != f.Person || !f.Now.Before(on.NotAfter) || f.Now.Before(on.NotBefore):
		return shown, authn.Reject(NotThis)
	}
	return shown, nil
}

// judge finds what was shown on record. The sighting is spent with it.
func (m Method) judge(f authn.Flow, stored []authn.Credential, a authn.Answer) (shown authn.Shown, on pki.Certificate, err error) {
	if a.Presented == nil {
		return shown, on, authn.Reject(TicketOver)
	}
	shown = authn.Shown{
		Spend:    []authn.Once{{Key: "sighting:" + a.Presented.Sighting, Expires: a.Presented.Expires.Add(time.Hour)}},
		Replayed: authn.Reject(TicketOver),
	}
	issuer, serial, err := m.Identify(a)
	if err != nil {
		return shown, on, err
	}
	if len(stored) == 0 {
		return shown, on, authn.Reject(Foreign)
	}
	if err := json.Unmarshal(stored[0].Data, &on); err != nil {
		return shown, on, fmt.Errorf("certificate %s: %w", stored[0].ID, err)
	}
	if on.Realm != f.Realm || on.Issuer != issuer || on.Serial != serial || !same(on, a.Presented.Leaf) || !chains(a.Presented, f.Now) {
		return shown, on, authn.Reject(Foreign)
	}
	shown.Credential = authn.Credential{
		ID: on.ID, Realm: on.Realm, Person: on.Person, Kind: authn.Cert, State: authn.Active, Name: on.Name, Created: on.Created,
	}
	return shown, on, nil
}

// same reports whether the leaf is the certificate on record, byte for byte.
func same(on pki.Certificate, leaf []byte) bool {
	sum := sha256.Sum256(leaf)
	return on.SHA256 != "" && on.SHA256 == hex.EncodeToString(sum[:])
}

// chains checks the leaf as a certificate for client authentication of one of the issuers. Its own time is left to the
// record, which explains it: the check is made at a moment at which the leaf holds, and the issuers now. The use is named in
// it: what x509 takes for "any use", an empty list or anyExtendedKeyUsage, is none here (SEC C-4). Nor does a key count that
// would not be certified today: the record may be older than the rule.
func chains(p *authn.Presented, now time.Time) bool {
	leaf, err := x509.ParseCertificate(p.Leaf)
	if err != nil || leaf.IsCA || !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) || pki.CheckKey(leaf.PublicKey) != nil {
		return false
	}
	roots := x509.NewCertPool()
	for _, der := range p.Issuers {
		ca, err := x509.ParseCertificate(der)
		if err != nil {
			return false
		}
		if !now.Before(ca.NotBefore) && now.Before(ca.NotAfter) {
			roots.AddCert(ca)
		}
	}
	at := now
	if at.Before(leaf.NotBefore) {
		at = leaf.NotBefore
	}
	if at.After(leaf.NotAfter) {
		at = leaf.NotAfter
	}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return err == nil
}

// standing says what the record says about the certificate; nil while it lives.
func standing(on pki.Certificate, now time.Time) error {
	switch s := on.Standing(now); {
	case s == pki.Revoked && on.Reason == pki.Superseded, s == pki.Expired && now.Before(on.NotAfter):
		return authn.Reject(Replaced)
	case s == pki.Revoked:
		return authn.Reject(Revoked)
	case s == pki.Expired:
		return authn.Reject(Ran, "at", on.NotAfter.UTC().Format(time.RFC3339))
	case s == pki.Suspended:
		return authn.Reject(Suspended)
	case on.Live(now):
		return nil
	case s == pki.Issued || s == pki.Active:
		return authn.Reject(Early)
	}
	return authn.Reject(Foreign) // reserved or pending: it was never finished
}
