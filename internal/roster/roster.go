// Package roster is who there is, as those who look after people change it: names and roles, who goes, and the organizations
// of customers.
//
// The rules:
//
//   - Every method loads actor and target in the transaction that acts and asks directory for the pair, so that an id from
//     elsewhere answers like a missing one and who was demoted a moment ago does nothing more (SEC Z, REQ B86).
//   - A form carries the version that it was made for: of two who change the same at once one does, the other looks again.
//   - The last administrator of an organization and the last owner stay (REQ B49).
//   - An address is nobody's to change here: it is its owner's (REQ B80).
//   - Everything is audited with its reason and told to the person by mail, in the same transaction (SEC H-7).
package roster

import (
	"context"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"doorward/internal/admin"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/secret"
)

// Tx is what the roster needs of one transaction.
type Tx interface {
	admin.PeopleTx
	RemovePerson(directory.Person) error
	EndAuthorizations(realm, person, client, why string, now time.Time) (int, error)

	Customers(directory.OrganizationFilter) ([]directory.Organization, error)
	OrganizationByName(realm, name string) (directory.Organization, error)
	AddOrganization(directory.Organization) error
	UpdateOrganization(directory.Organization) error
}

// Store begins transactions.
type Store interface {
	Read(context.Context, func(Tx) error) error
	Write(context.Context, func(Tx) error) error
}

// Service is safe for concurrent use.
type Service struct {
	Store  Store
	Ring   *secret.Ring
	Realms login.Realms
	People *admin.People // invites
	Clock  func() time.Time
}

// Bounds of what is typed, in characters.
const maxName = 100

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// named tidies a name. It fails with fault.Invalid "name-missing" or "name-too-long" (name).
func named(text string) (string, error) {
	text = directory.Line(text)
	switch {
	case text == "":
		return "", fault.New(fault.Invalid, "name-missing").In("name")
	case utf8.RuneCountInString(text) > maxName:
		return "", fault.New(fault.Invalid, "name-too-long", "max", maxName).In("name")
	}
	return text, nil
}

// someone is a person by id; zero for nobody, and for somebody who is gone.
func someone(tx Tx, realm, id string) (directory.Person, error) {
	if id == "" {
		return directory.Person{}, nil
	}
	p, err := tx.Person(realm, id)
	if fault.Of(err, fault.NotFound) {
		return directory.Person{}, nil
	}
	return p, err
}

// colleague checks that an id is empty or one of the operator's own people at work. It fails with fault.Invalid
// "staff-unknown" (field).
func colleague(tx Tx, realm, id, field string) error {
	p, err := someone(tx, realm, id)
	if err == nil && id != "" && (!p.Role.Staff() || p.State != directory.Active) {
		err = fault.New(fault.Invalid, "staff-unknown").In(field)
	}
	return err
}

// Staff lists the operator's own people at work, for those who choose a contact or an account manager among them: at most
// two hundred, by name. It fails with fault.Forbidden "not-allowed" for anybody who is not staff.
func (s *Service) Staff(ctx context.Context, by login.By) (people []directory.Person, err error) {
	if !directory.MayListAll(by.Person) {
		return nil, fault.New(fault.Forbidden, "not-allowed")
	}
	err = s.Store.Read(ctx, func(tx Tx) error {
		people = nil
		own, err := tx.StaffOrganization(by.Person.Realm)
		if err != nil {
			return err
		}
		f := directory.PersonFilter{Realm: by.Person.Realm, Organization: own.ID, State: directory.Active, Limit: admin.PageSize}
		for len(people) < 200 {
			page, err := tx.People(f)
			if err != nil {
				return err
			}
			people = append(people, page...)
			if len(page) < f.Limit {
				break
			}
			f.AfterName, f.AfterID = page[len(page)-1].Name, page[len(page)-1].ID
		}
		people = slices.DeleteFunc(people, func(p directory.Person) bool { return !p.Role.Staff() })
		return nil
	})
	return people, err
}
