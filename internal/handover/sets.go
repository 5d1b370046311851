package handover

import (
	"context"
	"slices"
	"time"

	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/keyfile"
	"doorward/internal/login"
	"doorward/internal/pki"
)

// How many certificates there are, of what kind, and which of them want something of somebody. The database counts; each
// figure is one set, and the list behind it is the same set. Staff see every customer's people, an administrator their own.

// MonthsBack is how many months are counted, the present one among them.
const MonthsBack = 12

// EndingDays are the spans for which is said how many certificates end within them.
var EndingDays = []int{30, 60, 90}

// SetPage is how many certificates stand on a page of a list.
const SetPage = 25

// Month is a calendar month in the realm's time zone, and how many certificates were issued in it.
type Month struct {
	From  time.Time
	Count pki.Tally
}

// Name is the month as 2026-11.
func (m Month) Name() string { return m.From.Format("2006-01") }

// Figures are the numbers of a realm, or of one organization.
type Figures struct {
	Staff                     bool
	Organization              directory.Organization // whose people's; zero: everybody's
	Months                    []Month                // the present one first
	Ending                    []int                  // as EndingDays
	Sent, Late, Held, Revoked int                    // Revoked: this month
}

// Wanted is which list is asked for.
type Wanted struct {
	Set          pki.Set
	Month        string // 2026-11, of Made and Ended; empty or not a month: the present one
	Days         int    // of Ending; what is not among EndingDays is the longest
	Way          pki.Way
	Organization string // staff narrow by it; empty: everybody's
	After        time.Time
	AfterID      string
}

// Line is a certificate in a list.
type Line struct {
	Certificate  pki.Certificate // without the certificate itself; Name is empty behind the veil
	Who          directory.Person
	Organization directory.Organization
	Parcel       keyfile.Parcel
	Contact      string // name of who says the password
	Stand        Stand
	MayOpen      bool // whoever looks may open its page
}

// Listing is a page of a list.
type Listing struct {
	Wanted
	Staff   bool
	Narrow  directory.Organization
	From    time.Time // the span of Made and Ended, in the realm's time zone
	Lines   []Line
	More    bool
	Renewal time.Duration // how long before its end a certificate can be renewed
}

// scope is whose certificates somebody sees. It fails with fault.Forbidden "not-allowed" for whoever looks after nobody, and
// with fault.NotFound for an organization that is not there.
func scope(tx Tx, by login.By, organization string) (o directory.Organization, staff bool, err error) {
	staff = directory.MayListAll(by.Person)
	switch {
	case by.Person.State != directory.Active || !staff && by.Person.Role != directory.Administrator:
		return o, false, fault.New(fault.Forbidden, "not-allowed")
	case !staff:
		organization = by.Person.Organization
	case organization == "":
		return o, true, nil
	}
	o, err = tx.Organization(by.Person.Realm, organization)
	return o, staff, err
}

// Figures counts. Errors: fault.Forbidden "not-allowed"; fault.NotFound for an organization that is not there.
func (s *Service) Figures(ctx context.Context, by login.By, organization string) (f Figures, err error) {
	now := s.Clock()
	this := monthOf(now, by.Realm.Zone)
	err = s.Store.Read(ctx, func(tx Tx) error {
		f = Figures{}
		if f.Organization, f.Staff, err = scope(tx, by, organization); err != nil {
			return err
		}
		count := func(set pki.Set, from, until time.Time) (n pki.Tally) {
			if err == nil {
				n, err = tx.CountCertificates(pki.Selection{Realm: by.Person.Realm, Organization: f.Organization.ID, Set: set, From: from, Until: until})
			}
			return n
		}
		for i := range MonthsBack {
			from := this.AddDate(0, -i, 0)
			f.Months = append(f.Months, Month{from, count(pki.Made, from, from.AddDate(0, 1, 0))})
		}
		for _, days := range EndingDays {
			f.Ending = append(f.Ending, count(pki.Ending, now, now.AddDate(0, 0, days)).All())
		}
		f.Sent, f.Late, f.Held = count(pki.Sent, now, now).All(), count(pki.Late, now, now).All(), count(pki.Held, now, now).All()
		f.Revoked = count(pki.Ended, this, this.AddDate(0, 1, 0)).All()
		return err
	})
	return f, err
}

// List is the list behind a figure. Errors: as Figures, and fault.NotFound for a set that is not there.
func (s *Service) List(ctx context.Context, by login.By, w Wanted) (l Listing, err error) {
	if !slices.Contains(pki.Sets, w.Set) {
		return l, fault.New(fault.NotFound, "not-found")
	}
	now := s.Clock()
	if w.Set != pki.Made || !slices.Contains(pki.Ways, w.Way) {
		w.Way = ""
	}
	if w.Set != pki.Ending {
		w.Days = 0
	} else if !slices.Contains(EndingDays, w.Days) {
		w.Days = EndingDays[len(EndingDays)-1]
	}
	sel := pki.Selection{Realm: by.Person.Realm, Set: w.Set, From: now, Until: now, Way: w.Way, After: w.After, AfterID: w.AfterID, Limit: SetPage + 1}
	var month time.Time
	switch w.Set {
	case pki.Made, pki.Ended:
		month = monthOf(now, by.Realm.Zone)
		if m, err := time.ParseInLocation("2006-01", w.Month, month.Location()); err == nil {
			month = m
		}
		w.Month = month.Format("2006-01")
		sel.From, sel.Until = month, month.AddDate(0, 1, 0)
	case pki.Ending:
		sel.Until = now.AddDate(0, 0, w.Days)
	}
	if month.IsZero() {
		w.Month = ""
	}
	err = s.Store.Read(ctx, func(tx Tx) error {
		l = Listing{Wanted: w, From: month, Renewal: time.Duration(by.Realm.Certificates.Window()) * 24 * time.Hour}
		if l.Narrow, l.Staff, err = scope(tx, by, w.Organization); err != nil {
			return err
		}
		sel.Organization = l.Narrow.ID
		found, err := tx.CertificatesIn(sel)
		if err != nil {
			return err
		}
		if l.More = len(found) > SetPage; l.More {
			found = found[:SetPage]
		}
		for _, c := range found {
			line, err := s.line(tx, by, c, now)
			if err != nil {
				return err
			}
			l.Lines = append(l.Lines, line)
		}
		return nil
	})
	return l, err
}

// line is a certificate as a list shows it: behind the veil wherever there may be one, since a list checks no caller.
func (s *Service) line(tx Tx, by login.By, c pki.Certificate, now time.Time) (l Line, err error) {
	c.DER = nil
	l.Certificate = c
	if l.Who, err = named(tx, c.Realm, c.Person); err != nil {
		return l, err
	}
	if l.Parcel, err = tx.ParcelOf(c.Realm, c.ID); err != nil && !fault.Of(err, fault.NotFound) {
		return l, err
	}
	if l.Parcel.Own() {
		l.Parcel = keyfile.Parcel{}
	}
	contact, err := named(tx, c.Realm, l.Parcel.Contact)
	if err != nil {
		return l, err
	}
	l.Parcel, l.Contact, l.Stand = bare(l.Parcel), contact.Name, StandOf(c, l.Parcel, now)
	if l.Who.ID != "" {
		if l.Organization, err = tx.Organization(c.Realm, l.Who.Organization); err != nil {
			return l, err
		}
	}
	l.MayOpen = l.Who.ID != "" && directory.May(by.Person, directory.SeeHistory, l.Who) == nil
	if !l.MayOpen || directory.Veils(by.Person, l.Who) {
		l.Who, l.Certificate.Name, l.Parcel.Device = l.Who.Veiled(), "", ""
	}
	return l, nil
}

// monthOf is the beginning of the month of a moment in a time zone; UTC where the zone is not known.
func monthOf(at time.Time, zone string) time.Time {
	in, err := time.LoadLocation(zone)
	if err != nil {
		in = time.UTC
	}
	at = at.In(in)
	return time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, in)
}
