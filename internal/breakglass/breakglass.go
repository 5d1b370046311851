// Package breakglass lets a member in without one kind for a time, because two of staff said so (REQ B4, B65). Who may, and
// for how long, stands in helpdesk; what it means for a sign-in in authn (E19). This room keeps the row behind it true,
// notes every use, and tells everybody whom it concerns.
package breakglass

import (
	"time"

	"doorward/internal/audit"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/mail"
)

// Tx is what counting and telling need of one transaction.
type Tx interface {
	Person(realm, id string) (directory.Person, error)
	Administrators(realm, organization string) ([]directory.Person, error)
	ExemptionOf(realm, person string) (helpdesk.Exemption, error)
	UseExemption(realm, person string, now time.Time) (helpdesk.Exemption, error)
	Audit(audit.Event) error
	Enqueue(mail.Message) error
}

// Weigh takes an exemption that does not count away from a person: its time is over, somebody ended it, or one of the two
// who gave it could not give it any more. The person's row only says that it is worth a look.
func Weigh(tx Tx, p *directory.Person, now time.Time) error {
	if !p.IsExempt(now) {
		p.Exempt = ""
		return nil
	}
	e, err := tx.ExemptionOf(p.Realm, p.ID)
	if err != nil && !fault.Of(err, fault.NotFound) {
		return err
	}
	counts := err == nil && e.State == helpdesk.Exempt && !e.Over(now) && string(e.Kind) == p.Exempt
	for _, id := range []string{e.By, e.Second} {
		giver, err := tx.Person(p.Realm, id)
		if err != nil && !fault.Of(err, fault.NotFound) {
			return err
		}
		counts = counts && err == nil && helpdesk.MayExempt(giver, *p) == nil
	}
	if !counts {
		p.Exempt = ""
	}
	return nil
}

// Letter makes a mail about somebody's account for one reader.
type Letter func(to directory.Person, template string, args map[string]string) mail.Message

// Use notes a sign-in that only an exemption explains: it is counted on the exemption, which has to live at this moment,
// and everybody who looks after the person is told. event is what the sign-in leaves in the trail, without what the
// exemption says of itself. It fails with fault.NotFound where somebody has ended it in between: of the two, one finds the
// row changed.
func Use(tx Tx, p directory.Person, now time.Time, event audit.Event, letter Letter) error {
	e, err := tx.UseExemption(p.Realm, p.ID, now)
	if err != nil {
		return err
	}
	event.Reason, event.Data = e.Reason, facts(e)
	if err := tx.Audit(event); err != nil {
		return err
	}
	return tell(tx, p, e, letter, "exemption-used")
}

// facts are what an event about an exemption keeps.
func facts(e helpdesk.Exemption) map[string]string {
	facts := map[string]string{"kind": string(e.Kind), "exemption": e.ID}
	if !e.Until.IsZero() {
		facts["until"] = e.Until.UTC().Format(time.RFC3339)
	}
	return facts
}

// tell writes to the person, to the administrators of their organization and to the two who gave it.
func tell(tx Tx, p directory.Person, e helpdesk.Exemption, letter Letter, template string) error {
	args := map[string]string{"kind": string(e.Kind), "reason": e.Reason, "name": p.Name, "address": p.Address}
	if !e.Until.IsZero() {
		args["until"] = e.Until.UTC().Format(time.RFC3339)
	}
	if err := tx.Enqueue(letter(p, template, args)); err != nil {
		return err
	}
	others, err := tx.Administrators(p.Realm, p.Organization)
	if err != nil {
		return err
	}
	for _, id := range []string{e.By, e.Second} {
		giver, err := tx.Person(p.Realm, id)
		if fault.Of(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return err
		}
		others = append(others, giver)
	}
	for _, o := range others {
		if err := tx.Enqueue(letter(o, template+"-console", args)); err != nil {
			return err
		}
	}
	return nil
}
