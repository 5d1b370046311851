package admin

import (
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
)

// Distrust refuses whatever was asked or granted about a person, because whoever used it was not them: what a rejected call
// leads to (SEC A-4). The link that was sent is void, the person and those who look after them are told, and the second
// refusal within a day alarms the supervisors, as with Refuse. It runs in the caller's transaction, which has asked whether the
// actor may.
func (s *Requests) Distrust(tx RequestTx, by login.By, p directory.Person, reason string, now time.Time) error {
	live, err := tx.HelpRequestsLive(p.Realm, p.ID)
	if err != nil {
		return err
	}
	for _, r := range live {
		r.State, r.Closed, r.ClosedBy, r.ClosedWhy = helpdesk.Refused, now, by.Person.ID, reason
		if err := s.update(tx, &r); err != nil {
			return err
		}
		s.count("refused", r)
		if _, err := tx.VoidOneTimes(r.Realm, p.ID, authn.Mail, login.Recover, now); err != nil {
			return err
		}
		data := facts(r)
		data["suspicious"] = "true"
		if err := tx.Audit(by.EventAbout(p, now, "request.refused", reason, data)); err != nil {
			return err
		}
		if err := s.tell(tx, by, p, "request-refused", r, now); err != nil {
			return err
		}
		if err := s.alarm(tx, by, p, r, now); err != nil {
			return err
		}
	}
	return nil
}

// VoidLinks ends every link that somebody got by mail, and their open flows.
func VoidLinks(tx PeopleTx, p directory.Person, now time.Time) error {
	for _, k := range []authn.Kind{authn.Invite, authn.Mail} {
		if _, err := tx.VoidOneTimes(p.Realm, p.ID, k, "", now); err != nil {
			return err
		}
	}
	_, err := tx.VoidFlows(p.Realm, p.ID, "")
	return err
}
