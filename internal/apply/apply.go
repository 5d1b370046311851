// Package apply brings realm files into the database, checked, and keeps the realms that count at hand for the servers.
package apply

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/tomlfile"
)

// The rules of applying a realm file (DESIGN 12).
//
//   - The file is the whole truth about its realm: what it leaves out falls back to the default, so that two machines
//     with the same file have the same realm.
//   - All or nothing: realm, staff organization and audit event are one transaction; a file with a problem changes nothing.
//   - Applying the same file twice changes nothing and leaves no event.
//   - Running servers take the change with the epoch, within a second.

// Realms applies realm files. It is safe for concurrent use.
type Realms struct {
	Store RealmStore
	Clock func() time.Time
	Kinds []authn.Kind // that this release can set up; nil: not asked
}

// Applied says what applying a file did, or would do.
type Applied struct {
	Realm    string            `json:"realm"`
	New      bool              `json:"new"`
	Changed  bool              `json:"changed"`
	Changes  []string          `json:"changes"`  // one line each, for people
	Effects  []string          `json:"effects"`  // what the change leads to for people, one line each
	Warnings tomlfile.Problems `json:"warnings"` // what the policy says in vain
	Old      string            `json:"old"`      // SHA-256 of the document before, hex; empty for a new realm
	Hash     string            `json:"hash"`     // and after
}

// ReadRealm reads a realm file with its policy. The error is tomlfile.Problems with all that must be mended, in the
// order of the lines; warnings are lines of the policy that lead nowhere. Text that fails changes nothing.
func ReadRealm(file string, text []byte) (r directory.Realm, p *authn.Policies, warnings tomlfile.Problems, err error) {
	r, err = directory.ParseRealm(file, text)
	var problems tomlfile.Problems
	if err != nil && !errors.As(err, &problems) {
		return r, nil, nil, err
	}
	if r.PolicyLine > 0 && r.Policy != "" {
		var graver tomlfile.Problems
		p, graver, warnings = policy(file, r)
		problems = append(problems, graver...)
	}
	if r.PolicyLine > 0 {
		problems = append(problems, relying(file, r, p)...)
		graver, more := rollouts(file, r, p)
		problems, warnings = append(problems, graver...), append(warnings, more...)
	}
	slices.SortStableFunc(problems, func(a, b tomlfile.Problem) int { return a.Line - b.Line })
	if len(problems) > 0 {
		return r, nil, warnings, problems
	}
	return r, p, warnings, nil
}

// policy reads the policy's text and translates its lines to the file's.
func policy(file string, r directory.Realm) (p *authn.Policies, problems, warnings tomlfile.Problems) {
	at := func(line int, reason string) tomlfile.Problem {
		return tomlfile.Problem{File: file, Line: r.PolicyLine + max(line, 1) - 1, Key: "policy", Reason: reason}
	}
	p, err := authn.ParsePolicies(r.Policy)
	var wrong *authn.PolicyError
	switch {
	case errors.As(err, &wrong):
		return nil, append(problems, at(wrong.Line, wrong.Reason)), nil
	case err != nil:
		return nil, append(problems, at(1, err.Error())), nil
	}
	for _, one := range authn.Check(p) {
		said := at(one.Line, string(one.Audience)+": "+one.Words)
		if one.Grave() {
			problems = append(problems, said)
		} else {
			warnings = append(warnings, said)
		}
	}
	return p, problems, warnings
}

// Apply makes the database's realm what the file says. With dry nothing is written. Errors: tomlfile.Problems for the
// file, also when another realm has its host; fault.Conflict "stale" when somebody applied a file at the same moment.
func (s *Realms) Apply(ctx context.Context, file string, text []byte, dry bool) (Applied, error) {
	r, _, warnings, err := ReadRealm(file, text)
	if err != nil {
		return Applied{}, err
	}
	return s.Put(ctx, file, r, warnings, dry)
}

// Put is Apply for a realm that was read already.
func (s *Realms) Put(ctx context.Context, file string, r directory.Realm, warnings tomlfile.Problems, dry bool) (Applied, error) {
	var a Applied
	now := s.Clock()
	if problems := s.buildable(file, r); len(problems) > 0 {
		return a, problems
	}
	step := func(tx RealmTx) error {
		a = Applied{Realm: r.ID, Warnings: warnings}
		r := r // ids instead of names, anew where the transaction runs again
		if err := resolve(tx, file, &r); err != nil {
			return err
		}
		old, err := current(tx, file, r)
		if err != nil {
			return err
		}
		a.New, r.Version = old.Version == 0, old.Version
		if a.Hash, err = hash(r); err != nil {
			return err
		}
		if !a.New {
			if a.Old, err = hash(old); err != nil {
				return err
			}
		}
		if a.Changed = a.Hash != a.Old; !a.Changed {
			return nil
		}
		if a.Changes, err = difference(old, r); err != nil {
			return err
		}
		a.Effects = append(effects(old, r), waves(old, r, now)...)
		if dry {
			return nil
		}
		if err := tx.PutRealm(r); err != nil {
			return err
		}
		if err := staff(tx, r, now); err != nil {
			return err
		}
		tx.Bump()
		return tx.Audit(audit.Event{
			Realm: r.ID, At: now, Type: "realm.applied", Actor: "cli", Data: map[string]string{"old": a.Old, "new": a.Hash},
		})
	}
	if dry {
		err := s.Store.Read(ctx, step)
		return a, err
	}
	err := s.Store.Write(ctx, step)
	return a, err
}

// current is the stored realm of r's id, zero for a new one. It fails when another realm has r's host: two doors behind
// one name.
func current(tx RealmTx, file string, r directory.Realm) (old directory.Realm, err error) {
	all, err := tx.Realms()
	if err != nil {
		return old, err
	}
	for _, have := range all {
		switch {
		case have.ID == r.ID:
			old = have
		case have.Host == r.Host:
			return old, tomlfile.Problems{{File: file, Key: "host", Reason: r.Host + " is the host of realm " + have.ID + " already"}}
		default:
			if name := shared(r, have); name != "" {
				return old, tomlfile.Problems{{File: file, Key: "relying_party.hosts", Reason: name + " belongs to realm " + have.ID + " already"}}
			}
		}
	}
	return old, nil
}

// shared finds a host name that two realms would both answer for: guarded by both, or guarded by one and the other's own.
func shared(a, b directory.Realm) string {
	names := func(r directory.Realm) map[string]bool {
		out := map[string]bool{r.Host: true}
		for _, rp := range r.Relying {
			for _, entry := range rp.Hosts {
				out[directory.GuardedName(entry)] = true
			}
		}
		return out
	}
	have := names(b)
	for _, name := range slices.Sorted(maps.Keys(names(a))) {
		if have[name] {
			return name
		}
	}
	return ""
}

// staff makes the realm's own organization, or gives it the operator's name.
func staff(tx RealmTx, r directory.Realm, now time.Time) error {
	o, err := tx.StaffOrganization(r.ID)
	switch {
	case fault.Of(err, fault.NotFound):
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		return tx.AddOrganization(directory.Organization{
			ID: id.String(), Realm: r.ID, Name: r.Operator, Staff: true, State: directory.Active, Created: now,
		})
	case err != nil:
		return err
	case o.Name == r.Operator:
		return nil
	}
	o.Name = r.Operator
	return tx.UpdateOrganization(o)
}

// hash is what the audit event names: of the document as it is stored.
func hash(r directory.Realm) (string, error) {
	doc, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(doc)
	return hex.EncodeToString(sum[:]), nil
}
