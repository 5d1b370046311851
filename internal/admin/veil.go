package admin

import (
	"context"
	"slices"
	"strings"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
)

// What the help desk sees of a person before it has begun to check who calls (SEC H-6, see directory.Veils). The veil is laid
// here and not on pages, so that no list, page or mail can forget it. Searching still finds by what a caller says.

// Begin notes that the actor begins to check the caller of a request: from then on they, and nobody else, see what a
// caller could be asked for. It stands in the person's history. Doing it twice changes nothing.
//
// Errors: what directory.May returns; fault.Conflict "request-nobody" (it names no person yet), "help-over".
func (s *Requests) Begin(ctx context.Context, by login.By, id string) (r helpdesk.Request, err error) {
	now := s.Clock()
	err = s.Store.Write(ctx, func(tx RequestTx) error {
		var p directory.Person
		if r, p, err = s.about(tx, by, directory.ResetFactor, id); err != nil {
			return err
		}
		if r.Over(now) {
			return fault.New(fault.Conflict, "help-over")
		}
		fresh, err := tx.BeginCallerCheck(r.Realm, r.ID, by.Person.ID, now)
		if err != nil || !fresh {
			return err
		}
		return tx.Audit(by.EventAbout(p, now, "request.check-begun", "", facts(r)))
	})
	return r, err
}

// veils reports whether the actor sees somebody behind the veil; live is the request that helps them, zero for none. The
// command line is no call desk.
func veils(tx PeopleTx, by login.By, p directory.Person, live helpdesk.Request) (bool, error) {
	if by.Session.ID == "" || !directory.Veils(by.Person, p) {
		return false, nil
	}
	if live.ID == "" {
		return true, nil
	}
	begun, err := tx.CallerCheckBegun(live.Realm, live.ID, by.Person.ID)
	return !begun, err
}

// nameless are credentials without the names that their owner gave them.
func nameless(creds []authn.Credential) []authn.Credential {
	creds = slices.Clone(creds)
	for i := range creds {
		creds[i].Name, creds[i].Model = "", ""
	}
	return creds
}

// traceless are events without networks and without the names of what somebody holds.
func traceless(events []audit.Event) []audit.Event {
	events = slices.Clone(events)
	for i, e := range events {
		events[i].Network, events[i].Browser = "", ""
		switch area, _, _ := strings.Cut(e.Type, "."); {
		case area == "certificate":
			events[i].Data = map[string]string{"name": "•••", "by": e.Data["by"]}
		case area != "request" && e.Data["kind"] != "":
			events[i].Data = map[string]string{"kind": e.Data["kind"], "code": e.Data["code"], "by": e.Data["by"]}
		}
	}
	return events
}

func (l *Listed) veil() {
	l.Person, l.Factors = l.Person.Veiled(), nameless(l.Factors)
}

func (d *Detail) veil() {
	d.Veiled = true
	d.Listed.veil()
	d.Held, d.Timeline = nameless(d.Held), traceless(d.Timeline)
	d.Mails = slices.Clone(d.Mails)
	for i := range d.Mails {
		d.Mails[i].To, d.Mails[i].LastError = "", "" // a mail server quotes the address back
	}
	if d.Live.ID != "" {
		d.Live.Address = directory.VeiledAddress(d.Live.Address)
	}
}

func (i *Item) veil() {
	i.Who, i.Address = i.Who.Veiled(), directory.VeiledAddress(i.Address)
}

func (c *Case) veil() {
	c.Veiled = true
	c.Item.veil()
	c.Factors, c.Timeline = nameless(c.Factors), traceless(c.Timeline)
}

// named is whom a mail to somebody is about: staff read no address in it that a caller could be asked for.
func named(to, p directory.Person, address string) string {
	if directory.Veils(to, p) {
		return directory.VeiledAddress(address)
	}
	return address
}
