package admin_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"doorward/internal/admin"
	"doorward/internal/authn"
	"doorward/internal/authn/onetime"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/sqlstore"
)

// A rogue administrator tries addresses of others: each refusal counts, so the limit ends it (SEC T-ENUM, REQ B69).
func TestSEC_TADM_ProbingForAddressesEnds(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		ada := d.active("Ada", "Alder Works", directory.Administrator)
		d.active("Bert", "Birch Ltd", directory.Member)
		told := 0
		for range 205 {
			_, err := d.people.Invite(context.Background(), ada, admin.Invitation{Address: "bert@example.com", Name: "Somebody"})
			switch code(err) {
			case "address-taken":
				told++
			case "too-many-invitations":
			default:
				t.Fatal(err)
			}
		}
		if told != 200 {
			t.Errorf("%d answers, want 200", told)
		}
	})
}

// Links end with the person they were made for; when the person is enabled again they stay dead (SEC S-4).
func TestSEC_S4_ADisabledPersonsLinksStayDead(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		ctx := context.Background()
		ada := d.active("Ada", "Alder Works", directory.Administrator)
		max := d.active("Max", "Alder Works", directory.Member)
		new, err := d.people.Invite(ctx, ada, admin.Invitation{Address: "new@example.com", Name: "New"})
		if err != nil {
			t.Fatal(err)
		}
		d.write(func(tx *sqlstore.Tx) error {
			ot, _ := onetime.Make(authn.Mail, "password")
			ot.ID, ot.Realm, ot.Person, ot.Hash, ot.Created, ot.Expires = id(), d.realm.ID, max.Person.ID, []byte("h"), d.now, d.now.Add(time.Hour)
			return tx.AddOneTime(ot)
		})
		for _, who := range []string{max.Person.ID, new.ID} {
			if _, err := d.people.Disable(ctx, ada, who, "left"); err != nil {
				t.Fatal(err)
			}
			if _, err := d.people.Enable(ctx, ada, who, "back"); err != nil {
				t.Fatal(err)
			}
			live, seen := 0, 0
			d.write(func(tx *sqlstore.Tx) error {
				for _, k := range []authn.Kind{authn.Invite, authn.Mail} {
					all, err := tx.OneTimes(d.realm.ID, who, k)
					if err != nil {
						return err
					}
					for _, ot := range all {
						seen++
						if ot.Used.IsZero() && ot.Voided.IsZero() {
							live++
						}
					}
				}
				return nil
			})
			if live != 0 || seen != 1 {
				t.Errorf("%d of %d links live", live, seen)
			}
		}
	})
}

// Whatever stands in the fields of the console, on both databases the answer is a fault that can be shown (SEC V-1).
func TestSEC_V1_HostileFieldsOfTheConsole(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		ctx := context.Background()
		ada := d.active("Ada", "Alder Works", directory.Administrator)
		otto := d.active("Otto", "Northline", directory.Owner)
		for i, text := range []string{"\x00", "a\x00b", "\xff", "\u202eevil", "%", "_", "'", strings.Repeat("a", 1<<17), "\U0010FFFF"} {
			ok := func(what string, err error) {
				t.Helper()
				if err != nil && fault.As(err) == nil {
					t.Errorf("%s with %.20q: %v", what, text, err)
				}
			}
			_, err := d.people.List(ctx, otto, admin.Query{
				Organization: text, Text: text, State: directory.PersonState(text), Role: directory.Role(text), AfterName: text, AfterID: text,
			})
			ok("List", err)
			_, err = d.people.List(ctx, otto, admin.Query{Role: directory.Role(text)})
			ok("List by role", err)
			_, err = d.people.List(ctx, otto, admin.Query{State: directory.PersonState(text)})
			ok("List by state", err)
			_, err = d.people.List(ctx, ada, admin.Query{Text: text})
			ok("List by text", err)
			_, err = d.people.Person(ctx, ada, text)
			ok("Person", err)
			p, err := d.people.Invite(ctx, ada, admin.Invitation{Address: fmt.Sprintf("x%d@example.com", i), Name: "New " + text})
			ok("Invite", err)
			if err == nil && (strings.ContainsAny(p.Name, "\x00\u202e") || !utf8.ValidString(p.Name)) {
				t.Errorf("the name %q was taken", p.Name)
			}
			_, err = d.people.Invite(ctx, ada, admin.Invitation{Address: text, Name: text, Role: directory.Role(text), Organization: text, Language: text})
			ok("Invite all", err)
			_, err = d.people.Invite(ctx, ada, admin.Invitation{Address: fmt.Sprintf("y%d@example.com", i), Name: "New", Organization: text})
			ok("Invite into", err)
			ok("Resend", d.people.Resend(ctx, ada, text))
			ok("Withdraw", d.people.Withdraw(ctx, ada, text))
			_, err = d.people.Disable(ctx, ada, text, text)
			ok("Disable", err)
			_, err = d.people.Organizations(ctx, otto, text, text)
			ok("Organizations", err)
		}
	})
}
