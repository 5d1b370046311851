package certhost

import (
	"encoding/json"
	"fmt"
	"time"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/pki"
)

// Used implements login.Certificates: it notes that a certificate was shown. With the first time of one that renews another
// the time of that other runs (SECURITY S3): everyday sign-ins cost one statement.
func (d *Desk) Used(tx login.Tx, realm *login.Realm, c authn.Credential, at time.Time) error {
	if err := tx.UseCertificate(c.Realm, c.ID, at); err != nil {
		return err
	}
	var on pki.Certificate
	if err := json.Unmarshal(c.Data, &on); err != nil {
		return fmt.Errorf("certificate %s: %w", c.ID, err)
	}
	if on.Replaces == "" || !on.FirstUsed.IsZero() {
		return nil
	}
	old, err := tx.Certificate(on.Realm, on.Replaces)
	if fault.Of(err, fault.NotFound) || err == nil && (old.State == pki.Revoked || old.Standing(at) == pki.Expired || !old.Ends.IsZero()) {
		return nil
	}
	if err != nil {
		return err
	}
	old.Ends = at.Add(realm.Certificates.Both())
	if old.Ends.After(old.NotAfter) {
		old.Ends = old.NotAfter
	}
	if err := tx.UpdateCertificate(old); err != nil {
		return err
	}
	return tx.Audit(audit.Event{
		Realm: on.Realm, At: at, Type: "certificate.replaced", Actor: on.Person, Person: on.Person,
		Data: map[string]string{"name": on.Name, "certificate": on.ID, "old": old.ID, "until": old.Ends.UTC().Format(time.RFC3339)},
	})
}
