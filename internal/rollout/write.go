package rollout

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/mail"
)

// Who is written to: active people of a wave who are not ready, each at most once when grace begins, a week before its end
// and a day before. The first of these mails that is due is sent, and those before it count as sent: who joins late is not
// written to three times at once. Another end of grace begins anew, since what was written before is not true any more.
// Which mails were sent is a row with a unique key, in the transaction that enqueues the mail.

// notices of a roll-out, the last first, and how long before the end each is due; the first of all at the beginning.
var notices = []struct {
	what   string
	before time.Duration
}{
	{"last", 24 * time.Hour},
	{"soon", 7 * 24 * time.Hour},
	{"announced", 0},
}

// due is the notice that is due at now, empty for none.
func due(d directory.Due, now time.Time) string {
	if !d.Grace(now) {
		return ""
	}
	for _, n := range notices {
		if n.before > 0 && !now.Before(d.Until.Add(-n.before)) {
			return n.what
		}
	}
	return "announced"
}

// Write enqueues the mails that are due. It is run every few minutes; running it twice writes nothing twice.
func (s *Service) Write(ctx context.Context, r directory.Realm, policies *authn.Policies) error {
	now := s.Clock()
	if len(r.Rollouts) == 0 {
		return nil
	}
	orgs, err := s.organizations(ctx, r)
	if err != nil {
		return err
	}
	for _, o := range orgs {
		for _, d := range r.Dues(o) {
			what := due(d, now)
			if what == "" {
				continue
			}
			if err := s.everybody(ctx, r.ID, o.ID, true, func(tx Tx, people []directory.Person, known map[string]authn.Person) error {
				return s.write(tx, r, policies, o, d, what, people, known, now)
			}, func() {}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Service) write(tx Tx, r directory.Realm, policies *authn.Policies, o directory.Organization, d directory.Due, what string,
	people []directory.Person, known map[string]authn.Person, now time.Time) error {
	for _, p := range people {
		if p.State != directory.Active {
			continue
		}
		after, err := At(r, policies, p, o, d.Until)
		if err != nil {
			return err
		}
		stands, _ := judge(after, known[p.ID])
		if stands != Able && stands != Stranded {
			continue
		}
		fresh, err := s.first(tx, r, d, p, what, now)
		if err != nil {
			return err
		}
		if !fresh {
			continue
		}
		template := map[string]string{"announced": "rollout-announced", "soon": "rollout-reminder", "last": "rollout-reminder"}[what]
		if stands == Stranded {
			template = "rollout-stranded"
		}
		if s.Count != nil {
			s.Count("rollout", "what", what)
		}
		if err := tx.Enqueue(mail.Message{
			ID: uuid.Must(uuid.NewV7()).String(), Realm: r.ID, Person: p.ID, To: p.Address, Template: template, Language: p.Language,
			Args: map[string]string{
				"at": now.UTC().Format(time.RFC3339), "until": d.Until.UTC().Format(time.RFC3339),
				"rollout": d.Rollout.Name.For(p.Language), "about-rollout": d.Rollout.About.For(p.Language),
			},
			State: mail.Waiting, Created: now, Due: now,
		}); err != nil {
			return err
		}
	}
	return nil
}

// first notes what is sent, and what is not sent any more because a later notice is.
func (s *Service) first(tx Tx, r directory.Realm, d directory.Due, p directory.Person, what string, now time.Time) (fresh bool, err error) {
	end := ":" + strconv.FormatInt(d.Until.UnixMilli(), 36)
	for i, n := range notices {
		if n.what != what {
			continue
		}
		if fresh, err = tx.NoteRollout(r.ID, d.Rollout.ID, p.ID, what+end, now); err != nil || !fresh {
			return false, err
		}
		for _, before := range notices[i+1:] {
			if _, err := tx.NoteRollout(r.ID, d.Rollout.ID, p.ID, before.what+end, now); err != nil {
				return false, err
			}
		}
	}
	return fresh, nil
}
