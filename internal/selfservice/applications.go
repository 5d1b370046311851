package selfservice

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/token"
)

// Application is a client that knows the person: they allowed it something, or it holds tokens of theirs.
type Application struct {
	Client string
	Name   string // the client's id where the realm has none of that id any more
	Home   string
	Own    bool     // the operator's own: it asks for no consent
	Scopes []string // what it may see: what was allowed, and what its tokens say
	Since  time.Time
	Used   time.Time // when it last got tokens, zero for never
	Away   bool      // it stays connected when the person is signed out
}

// Applications lists every client that knows the person, by name.
func (s *Service) Applications(ctx context.Context, by login.By) ([]Application, error) {
	var consents []token.Consent
	var auths []token.Authorization
	if err := s.Store.Read(ctx, func(tx Tx) (err error) {
		if consents, err = tx.Consents(by.Person.Realm, by.Person.ID); err != nil {
			return err
		}
		auths, err = tx.Authorizations(by.Person.Realm, by.Person.ID)
		return err
	}); err != nil {
		return nil, err
	}
	now := s.Clock()
	known := map[string]*Application{}
	add := func(client string, since time.Time, scopes []string) *Application {
		a, ok := known[client]
		if !ok {
			a = &Application{Client: client, Name: client, Since: since}
			if rp, ok := relying(by.Realm, client); ok {
				a.Name, a.Home, a.Own = rp.Name, rp.Home, rp.FirstParty
			}
			known[client] = a
		}
		if since.Before(a.Since) {
			a.Since = since
		}
		for _, scope := range scopes {
			if !slices.Contains(a.Scopes, scope) {
				a.Scopes = append(a.Scopes, scope)
			}
		}
		return a
	}
	for _, c := range consents {
		add(c.Client, c.At, c.Scopes)
	}
	for _, auth := range auths {
		if !now.Before(auth.Until) {
			continue
		}
		a := add(auth.Client, auth.Created, auth.Scopes)
		if auth.Seen.After(a.Used) {
			a.Used = auth.Seen
		}
		a.Away = a.Away || auth.Offline
	}
	out := make([]Application, 0, len(known))
	for _, a := range known {
		out = append(out, *a)
	}
	slices.SortFunc(out, func(a, b Application) int {
		return strings.Compare(strings.ToLower(a.Name)+"\x00"+a.Client, strings.ToLower(b.Name)+"\x00"+b.Client)
	})
	return out, nil
}

func relying(r *login.Realm, client string) (directory.RelyingParty, bool) {
	i := slices.IndexFunc(r.Relying, func(c directory.RelyingParty) bool { return c.ID == client })
	if i < 0 {
		return directory.RelyingParty{}, false
	}
	return r.Relying[i], true
}

// RemoveApplication takes back what a client was allowed and ends everything it holds of the person: refresh, userinfo
// and introspection refuse from the commit on. A client with a back-channel address is told, once for each session. It
// needs a fresh complete login. Errors: fault.Forbidden "login-not-fresh" (sign in again first), fault.NotFound when the
// client does not know the person, or not any more.
func (s *Service) RemoveApplication(ctx context.Context, by login.By, client string) error {
	now := s.Clock()
	if !by.Fresh(now) {
		return fault.New(fault.Forbidden, "login-not-fresh")
	}
	if client == "" { // to the store that means every client
		return fault.New(fault.NotFound, "not-found")
	}
	realm, person := by.Person.Realm, by.Person.ID
	name := client
	rp, ok := relying(by.Realm, client)
	if ok {
		name = rp.Name
	}
	return s.Store.Write(ctx, func(tx Tx) error {
		auths, err := tx.Authorizations(realm, person)
		if err != nil {
			return err
		}
		ended, err := tx.EndAuthorizations(realm, person, client, "removed", now)
		if err != nil {
			return err
		}
		had, err := tx.DeleteConsent(realm, person, client)
		if err != nil {
			return err
		}
		if ended == 0 && !had { // of many at once, one finds something
			return fault.New(fault.NotFound, "not-found")
		}
		told := map[string]bool{}
		for _, auth := range auths {
			if auth.Client != client || told[auth.Session] || rp.BackchannelLogoutURI == "" {
				continue
			}
			told[auth.Session] = true
			if err := tx.AddLogout(token.Logout{
				ID: uuid.Must(uuid.NewV7()).String(), Realm: realm, Client: client, Person: person, Session: auth.Session, Created: now, Due: now,
			}); err != nil {
				return err
			}
		}
		tx.Bump()
		if err := tx.Audit(by.Event(now, "client.removed", "", map[string]string{"client": client, "name": name})); err != nil {
			return err
		}
		return tx.Enqueue(by.Notice(now, "application-removed", map[string]string{"name": name}))
	})
}
