package apply

import (
	"context"

	"doorward/internal/audit"
	"doorward/internal/directory"
)

// RealmTx is what applying a realm file needs of one transaction.
type RealmTx interface {
	Realms() ([]directory.Realm, error)
	PutRealm(directory.Realm) error
	Organizations
	StaffOrganization(realm string) (directory.Organization, error)
	AddOrganization(directory.Organization) error
	UpdateOrganization(directory.Organization) error
	Audit(audit.Event) error
	Bump()
}

// RealmStore begins transactions.
type RealmStore interface {
	Read(context.Context, func(RealmTx) error) error
	Write(context.Context, func(RealmTx) error) error
}
