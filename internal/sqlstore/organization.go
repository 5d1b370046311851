package sqlstore

import (
	"strings"

	"doorward/internal/directory"
)

const organizationColumns = `id, realm, name, staff, state, policy, manager, created, version, phone, phone_since`

var (
	selectOrganization       = statement(`SELECT ` + organizationColumns + ` FROM organization WHERE realm = $1 AND id = $2`)
	selectOrganizationByName = statement(`SELECT ` + organizationColumns + ` FROM organization WHERE realm = $1 AND sort = $2`)
	selectStaffOrganization  = statement(`SELECT ` + organizationColumns + ` FROM organization WHERE realm = $1 AND staff`)
	selectOrganizations      = statement(`SELECT ` + organizationColumns + ` FROM organization WHERE realm = $1 AND (sort, id) > ($2, $3)
		ORDER BY sort, id LIMIT $4`)
	selectCustomers     = customersOf(``)
	selectWithoutHelp   = customersOf(` AND NOT EXISTS (` + someAdministrator + `)`)
	selectWithOneHelper = customersOf(` AND EXISTS (` + someAdministrator + `) AND NOT EXISTS (` + someAdministrator +
		` AND EXISTS (SELECT 1 FROM person AS second WHERE second.realm = $1 AND second.organization = organization.id
		AND second.role = 'administrator' AND second.state = 'active' AND second.id > helper.id))`)
	insertOrganization = statement(`INSERT INTO organization (` + organizationColumns + `, sort)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING`)
	updateOrganization = statement(`UPDATE organization SET name = $3, state = $4, policy = $5, manager = $6, sort = $7, phone = $9, phone_since = $10,
		version = version + 1
		WHERE id = $1 AND realm = $2 AND version = $8`)
	existsOrganization = statement(`SELECT 1 FROM organization WHERE id = $1`)
)

// someAdministrator finds an active administrator of the organization at hand.
const someAdministrator = `SELECT 1 FROM person AS helper WHERE helper.realm = $1 AND helper.organization = organization.id
	AND helper.role = 'administrator' AND helper.state = 'active'`

// customersOf is one page of customers by name, of those whose name begins with some letters ($5 and its end $6).
func customersOf(more string) string {
	return statement(`SELECT ` + organizationColumns + ` FROM organization WHERE realm = $1 AND NOT staff` + more +
		` AND sort >= $5 AND sort < $6 AND (sort, id) > ($2, $3) ORDER BY sort, id LIMIT $4`)
}

func scanOrganization(_ *Tx, r row) (o directory.Organization, err error) {
	return o, r.Scan(organizationFields(&o)...)
}

func organizationFields(o *directory.Organization) []any {
	return []any{&o.ID, &o.Realm, &o.Name, &o.Staff, &o.State, &o.Policy, &o.Manager, stamp{&o.Created}, &o.Version, &o.Phone, stamp{&o.PhoneSince}}
}

// Organization returns one organization of a realm.
func (t *Tx) Organization(realm, id string) (directory.Organization, error) {
	return one(t, scanOrganization, selectOrganization, realm, id)
}

// OrganizationByName finds an organization by its name, in any case of letters. Names are unique in a realm that way.
func (t *Tx) OrganizationByName(realm, name string) (directory.Organization, error) {
	return one(t, scanOrganization, selectOrganizationByName, realm, folded(name))
}

// StaffOrganization returns the realm's own organization; there is at most one.
func (t *Tx) StaffOrganization(realm string) (directory.Organization, error) {
	return one(t, scanOrganization, selectStaffOrganization, realm)
}

// Organizations pages through a realm by name: after is the last of the page before, empty for the first page.
func (t *Tx) Organizations(realm, afterName, afterID string, limit int) ([]directory.Organization, error) {
	return list(t, scanOrganization, selectOrganizations, realm, folded(afterName), afterID, limited(limit))
}

// Customers pages through the organizations that are not the realm's own, by name.
func (t *Tx) Customers(f directory.OrganizationFilter) ([]directory.Organization, error) {
	text := selectCustomers
	switch f.Administrators {
	case directory.NoAdministrator:
		text = selectWithoutHelp
	case directory.OneAdministrator:
		text = selectWithOneHelper
	}
	words := folded(strings.TrimSpace(f.Query))
	return list(t, scanOrganization, text, f.Realm, folded(f.AfterName), f.AfterID, limited(f.Limit), words, words+afterEverything)
}

// AddOrganization adds an organization. It fails with fault.Exists when the name, or the place of the realm's own
// organization, is taken.
func (t *Tx) AddOrganization(o directory.Organization) error {
	return t.insert(insertOrganization, o.ID, o.Realm, o.Name, o.Staff, o.State, o.Policy, o.Manager, millis(o.Created), o.Version, o.Phone,
		millis(o.PhoneSince), folded(o.Name))
}

// UpdateOrganization changes everything but id, realm, staff and created.
func (t *Tx) UpdateOrganization(o directory.Organization) error {
	t.Bump()
	return t.update(existsOrganization, o.ID, updateOrganization, o.ID, o.Realm, o.Name, o.State, o.Policy, o.Manager, folded(o.Name), o.Version, o.Phone,
		millis(o.PhoneSince))
}
