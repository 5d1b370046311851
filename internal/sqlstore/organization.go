package sqlstore

import "doorward/internal/directory"

const organizationColumns = `id, realm, name, staff, state, policy, manager, created, version`

var (
	selectOrganization       = statement(`SELECT ` + organizationColumns + ` FROM organization WHERE realm = $1 AND id = $2`)
	selectOrganizationByName = statement(`SELECT ` + organizationColumns + ` FROM organization WHERE realm = $1 AND sort = $2`)
	selectStaffOrganization  = statement(`SELECT ` + organizationColumns + ` FROM organization WHERE realm = $1 AND staff`)
	selectOrganizations      = statement(`SELECT ` + organizationColumns + ` FROM organization WHERE realm = $1 AND (sort, id) > ($2, $3)
		ORDER BY sort, id LIMIT $4`)
	insertOrganization = statement(`INSERT INTO organization (` + organizationColumns + `, sort)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`)
	updateOrganization = statement(`UPDATE organization SET name = $3, state = $4, policy = $5, manager = $6, sort = $7, version = version + 1
		WHERE id = $1 AND realm = $2 AND version = $8`)
	existsOrganization = statement(`SELECT 1 FROM organization WHERE id = $1`)
)

func scanOrganization(_ *Tx, r row) (o directory.Organization, err error) {
	return o, r.Scan(organizationFields(&o)...)
}

func organizationFields(o *directory.Organization) []any {
	return []any{&o.ID, &o.Realm, &o.Name, &o.Staff, &o.State, &o.Policy, &o.Manager, stamp{&o.Created}, &o.Version}
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

// AddOrganization adds an organization. It fails with fault.Exists when the name, or the place of the realm's own
// organization, is taken.
func (t *Tx) AddOrganization(o directory.Organization) error {
	return t.insert(insertOrganization, o.ID, o.Realm, o.Name, o.Staff, o.State, o.Policy, o.Manager, millis(o.Created), o.Version, folded(o.Name))
}

// UpdateOrganization changes everything but id, realm, staff and created.
func (t *Tx) UpdateOrganization(o directory.Organization) error {
	t.Bump()
	return t.update(existsOrganization, o.ID, updateOrganization, o.ID, o.Realm, o.Name, o.State, o.Policy, o.Manager, folded(o.Name), o.Version)
}
