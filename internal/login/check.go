package login

import (
	"context"
	"slices"
	"time"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/breakglass"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/secret"
	"doorward/internal/session"
)

// Signed is a person behind a live session.
type Signed struct {
	Session      session.Session
	Person       directory.Person
	Organization directory.Organization
	Realm        *Realm

	held    []authn.Holding // by the person, when the answer was looked up
	excused bool            // an exemption lets the session live, and what was shown would not
}

// Fresh reports whether the session's complete login is young enough to change factors with (SECURITY S5). What was only
// set up is no login, and what an exemption let in neither: it showed less than a login.
func (s Signed) Fresh(now time.Time) bool {
	if len(s.Session.Evidence) == 0 || s.excused {
		return false
	}
	return !slices.ContainsFunc(s.Session.Evidence, func(e authn.Evidence) bool {
		age := now.Sub(e.At)
		return e.Bound || age > FreshLife || age < -skew
	})
}

// errSession is the one answer for sessions that are unknown, foreign or over.
var errSession = fault.New(fault.Expired, "session-over")

// Authenticate finds the person behind a session's secret and checks that everything the session stands on is still
// alive: the session itself, the person, their organization, every credential that was shown, and the policy as it is
// now (DESIGN 3: sessions are re-evaluated at their next use). It fails with fault.Expired "session-over".
//
// Answers are kept in memory until the store's epoch rises, and never longer than memory.LiveFor: a revocation holds within 5
// seconds on every node, also on one that has lost sight of the epoch.
func (s *Service) Authenticate(ctx context.Context, realm string, cookie secret.Text) (Signed, error) {
	if cookie == "" {
		return Signed{}, errSession
	}
	now := s.Clock()
	hash := tokenHash(cookie)
	key := string(hash)
	epoch := s.Epoch()
	if k, ok := s.cache.Get(key, epoch, now); ok && k.signed.Session.Realm == realm && k.signed.Session.Live(now) {
		return s.seen(ctx, key, epoch, k.signed, k.at, now)
	}
	var got Signed
	err := s.Store.Read(ctx, func(tx Tx) error {
		var err error
		if got.Session, err = tx.SessionByHash(hash); err != nil {
			return overOr(err)
		}
		got, err = s.alive(tx, realm, got.Session, now)
		return err
	})
	if err != nil {
		s.cache.Drop(key)
		return Signed{}, err
	}
	s.cache.Put(key, epoch, now, cached{got, now})
	return s.seen(ctx, key, epoch, got, now, now)
}

// Vouch is Authenticate for a session that is known by its id, because a secret that was tied to it was shown: the cookie
// of a guarded application. It looks at the database at every call; whoever keeps the answer keeps it no longer than
// Authenticate would. It fails with fault.Expired "session-over".
func (s *Service) Vouch(ctx context.Context, realm, id string) (Signed, error) {
	now := s.Clock()
	var got Signed
	err := s.Store.Read(ctx, func(tx Tx) error {
		se, err := tx.Session(realm, id)
		if err != nil {
			return overOr(err)
		}
		got, err = s.alive(tx, realm, se, now)
		return err
	})
	if err != nil {
		return Signed{}, err
	}
	if now.Sub(got.Session.Seen) < time.Minute {
		return got, nil
	}
	got.Session.Seen = now
	return got, s.Store.Write(ctx, func(tx Tx) error { return tx.TouchSession(id, now) })
}

// overOr says the one thing about a session that is not there.
func overOr(err error) error {
	if fault.Of(err, fault.NotFound) {
		return errSession
	}
	return err
}

// alive is the liveness check itself.
func (s *Service) alive(tx Tx, realm string, se session.Session, now time.Time) (Signed, error) {
	got := Signed{Session: se}
	var err error
	if got.Session.Realm != realm || !got.Session.Live(now) {
		return got, errSession
	}
	if got.Realm, err = s.Realms.Realm(realm); err != nil {
		return got, err
	}
	if got.Person, err = tx.Person(realm, got.Session.Person); err != nil {
		return got, errSession
	}
	if got.Organization, err = tx.Organization(realm, got.Person.Organization); err != nil {
		return got, errSession
	}
	if disabled(got.Person, got.Organization) {
		return got, errSession
	}
	if err := breakglass.Weigh(tx, &got.Person, now); err != nil {
		return got, err
	}
	creds, err := tx.Credentials(realm, got.Person.ID)
	if err != nil {
		return got, err
	}
	creds = authn.Lasting(creds, now)
	if !s.holds(&got, creds) {
		return got, errSession
	}
	got.held = authn.Holdings(creds)
	return got, nil
}

// holds weighs what was shown for the session.
func (s *Service) holds(got *Signed, creds []authn.Credential) (holds bool) {
	holds, got.excused = s.Weigh(got.Realm, Weighed{
		Person: got.Person, Organization: got.Organization, Shown: got.Session.Evidence, Held: creds, At: got.Session.Created,
	})
	return holds
}

// Weighed is what was shown at a time, by whom, and what they hold now.
type Weighed struct {
	Person       directory.Person // with an exemption only where it counts, see breakglass.Weigh
	Organization directory.Organization
	Client       string // the relying party for which it was shown, empty for a session
	Shown        []authn.Evidence
	Held         []authn.Credential
	At           time.Time
}

// Weigh asks the engine whether what was shown would still admit, by the policy as it is now and by what the person held
// then: a passkey added since must not end the session it was added in, a factor that ended since must. Sessions and
// refresh tokens are weighed alike, at every use (DESIGN 3). excused says that only an exemption lets it suffice.
func (s *Service) Weigh(r *Realm, w Weighed) (suffices, excused bool) {
	rules, err := s.rules(r, w.Person, w.Organization, authn.Goal{Client: w.Client})
	if err != nil {
		return false, false
	}
	rules.Soon, rules.Fresh = nil, false // whether what was bound counts was decided when it was let count
	then := slices.DeleteFunc(slices.Clone(w.Held), func(c authn.Credential) bool { return c.Created.After(w.At) })
	p := authn.Person{ID: w.Person.ID, EverActive: true, Held: authn.Holdings(then)}
	f := authn.Flow{Realm: r.ID, Person: w.Person.ID, Evidence: w.Shown, Now: w.At}
	return authn.Next(rules, p, f).Act == authn.ActAdmit, authn.Excused(rules, p, f)
}

// seen notes at most once a minute that a session is in use. at is when its answer was looked up; noting it is no look,
// so the answer is kept no longer than before.
func (s *Service) seen(ctx context.Context, key string, epoch int64, got Signed, at, now time.Time) (Signed, error) {
	if now.Sub(got.Session.Seen) < time.Minute {
		return got, nil
	}
	got.Session.Seen = now
	if err := s.Store.Write(ctx, func(tx Tx) error { return tx.TouchSession(got.Session.ID, now) }); err != nil {
		return Signed{}, err
	}
	s.cache.Put(key, epoch, at, cached{got, at})
	return got, nil
}

// SignOut ends the caller's session. It is no error when there is none.
func (s *Service) SignOut(ctx context.Context, c Caller) error {
	if c.Session == "" {
		return nil
	}
	now := s.Clock()
	defer s.cache.Drop(string(tokenHash(c.Session)))
	return s.Store.Write(ctx, func(tx Tx) error {
		se, err := tx.SessionByHash(tokenHash(c.Session))
		if err != nil {
			return ignoreMissing(err)
		}
		return signOut(tx, c, se, now)
	})
}

// SignOutOf is SignOut for a session that is known by its id, as Vouch knows it.
func (s *Service) SignOutOf(ctx context.Context, c Caller, id string) error {
	now := s.Clock()
	return s.Store.Write(ctx, func(tx Tx) error {
		se, err := tx.Session(c.Realm, id)
		if err != nil {
			return ignoreMissing(err)
		}
		return signOut(tx, c, se, now)
	})
}

func signOut(tx Tx, c Caller, se session.Session, now time.Time) error {
	if se.Realm != c.Realm {
		return nil
	}
	if live, err := tx.EndSession(se.Realm, se.Person, se.ID, "signed-out", now); err != nil || !live {
		return err
	}
	tx.Bump()
	return tx.Audit(audit.Event{
		Realm: se.Realm, At: now, Type: "session.ended", Actor: se.Person, Person: se.Person, Session: se.ID,
		Network: c.Network, Browser: c.Agent, Reason: "signed-out",
	})
}

// cacheSize bounds the memory of the session cache.
const cacheSize = 1 << 16

// cached is an answer and when it was looked up.
type cached struct {
	signed Signed
	at     time.Time
}
