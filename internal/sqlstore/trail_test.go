package sqlstore_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"doorward/internal/audit"
	"doorward/internal/fault"
	"doorward/internal/mail"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// Events come newest first, by what is asked for, each once.
func TestEventsArePaged(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		var all []audit.Event
		put(t, s, func(tx *sqlstore.Tx) error {
			for i := range 60 {
				e := audit.Event{
					ID: fmt.Sprintf("%03d", i), Realm: []string{"r", "q"}[i%2], At: noon, Type: []string{"signin.failed", "signin.succeeded", "key.rotated"}[i%3],
					Person: []string{"", "p", "o"}[i/2%3], Organization: []string{"", "n"}[i/3%2],
				}
				all = append(all, e)
				if err := tx.Audit(e); err != nil {
					return err
				}
			}
			return nil
		})
		slices.Reverse(all)
		rapid.Check(t, func(r *rapid.T) {
			q := audit.Query{
				Realm:        rapid.SampledFrom([]string{"", "r", "q"}).Draw(r, "realm"),
				Person:       rapid.SampledFrom([]string{"", "p"}).Draw(r, "person"),
				Organization: rapid.SampledFrom([]string{"", "n"}).Draw(r, "organization"),
				Types:        rapid.SampledFrom([][]string{nil, {"signin.failed"}, {"signin.failed", "key.rotated"}, {"signin"}}).Draw(r, "types"),
				IDs:          rapid.SampledFrom([][]string{nil, nil, {"003", "001", "003", "999"}}).Draw(r, "ids"),
				Limit:        rapid.SampledFrom([]int{1, 7, 1000}).Draw(r, "limit"),
			}
			var want, got []string
			for _, e := range all {
				if (q.Realm == "" || e.Realm == q.Realm) && (q.Person == "" || e.Person == q.Person) && (q.Organization == "" || e.Organization == q.Organization) &&
					(q.Types == nil || slices.Contains(q.Types, e.Type)) && (q.IDs == nil || slices.Contains(q.IDs, e.ID)) {
					want = append(want, e.ID)
				}
			}
			for {
				page := get(t, s, func(tx *sqlstore.Tx) ([]audit.Event, error) { return tx.Events(q) })
				for _, e := range page {
					got = append(got, e.ID)
					q.BeforeID = e.ID
				}
				if len(page) < q.Limit || q.IDs != nil {
					break
				}
			}
			if !slices.Equal(got, want) {
				r.Fatalf("%+v\ngot  %q\nwant %q", q, got, want)
			}
		})
	})
}

func TestEventGetsIDAndTime(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		put(t, s, func(tx *sqlstore.Tx) error {
			return tx.Audit(audit.Event{Realm: "r", Browser: "a\x00\xffb", Data: map[string]string{"k": "a\x00b"}})
		})
		e := get(t, s, func(tx *sqlstore.Tx) ([]audit.Event, error) { return tx.Events(audit.Query{}) })[0]
		if len(e.ID) != 36 || e.At.IsZero() || e.Browser != "a\uFFFD\uFFFDb" || e.Data["k"] != "a\x00b" {
			t.Errorf("got %+v", e)
		}
	})
}

// The tree is stored as tlog counts it, in batches, and a late event is still found.
func TestTreeIsStored(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		read := tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
			return get(t, s, func(tx *sqlstore.Tx) ([]tlog.Hash, error) { return tx.TreeHashes(at) }), nil
		})
		size, placed := int64(0), []string{}
		for _, n := range []int{1, 70, 3} {
			put(t, s, func(tx *sqlstore.Tx) error {
				for i := range n {
					if err := tx.Audit(audit.Event{ID: fmt.Sprintf("%d-%02d", 9-n%9, i), Realm: "r", At: noon}); err != nil { // later ones have smaller ids
						return err
					}
				}
				return nil
			})
			put(t, s, func(tx *sqlstore.Tx) error {
				events, err := tx.EventsWithoutLeaf(1000)
				if err != nil || len(events) != n {
					t.Fatalf("%d wait, want %d: %v", len(events), n, err)
				}
				var leaves []audit.Leaf
				var hashes []tlog.Hash
				for i, e := range events {
					h := audit.LeafHash(e)
					more, err := tlog.StoredHashesForRecordHash(size+int64(i), h, tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
						var out []tlog.Hash
						for _, a := range at {
							if k := a - tlog.StoredHashCount(size); k >= 0 {
								out = append(out, hashes[k])
								continue
							}
							old, err := tx.TreeHashes([]int64{a})
							if err != nil {
								return nil, err
							}
							out = append(out, old...)
						}
						return out, nil
					}))
					if err != nil {
						return err
					}
					hashes = append(hashes, more...)
					leaves = append(leaves, audit.Leaf{Index: size + int64(i), Event: e.ID, Hash: h})
					placed = append(placed, e.ID)
				}
				return tx.AppendLeaves(size, leaves, hashes)
			})
			size += int64(n)
			if got := get(t, s, (*sqlstore.Tx).TreeSize); got != size {
				t.Fatalf("size %d, want %d", got, size)
			}
			if _, err := tlog.TreeHash(size, read); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		for from := int64(0); from < size; from += 30 {
			for _, l := range get(t, s, func(tx *sqlstore.Tx) ([]audit.Leaf, error) { return tx.Leaves(from, 30) }) {
				got = append(got, l.Event)
			}
		}
		if !slices.Equal(got, placed) {
			t.Errorf("leaves %q, want %q", got, placed)
		}
		// An event has one place: a second leaf for it undoes everything, even when the caller goes on.
		err := s.Write(t.Context(), func(tx *sqlstore.Tx) error {
			_ = tx.AppendLeaves(size, []audit.Leaf{{Index: size, Event: placed[0]}}, []tlog.Hash{{}})
			return nil
		})
		refused(t, err, fault.Conflict, "stale")
	})
}

func TestMailIsDeliveredOnceOrGivenUp(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		claim := func(at time.Time) (all []mail.Message) {
			put(t, s, func(tx *sqlstore.Tx) (err error) { all, err = tx.ClaimMail(at, time.Minute, 10); return err })
			slices.SortFunc(all, func(a, b mail.Message) int { return strings.Compare(a.ID, b.ID) })
			return all
		}
		finish := func(m mail.Message) {
			put(t, s, func(tx *sqlstore.Tx) error { return tx.FinishMail(m) })
		}
		health := func() mail.Health {
			return get(t, s, func(tx *sqlstore.Tx) (mail.Health, error) { return tx.MailHealth("r", noon.Add(time.Hour)) })
		}
		same(t, health(), mail.Health{})
		put(t, s, func(tx *sqlstore.Tx) error {
			for i, id := range []string{"a", "b", "c", "d"} {
				if err := tx.Enqueue(mail.Message{
					ID: id, Realm: "r", Person: "p", To: "p@example.com", Template: "invitation", Args: map[string]string{"link": "secret-" + id},
					Created: noon.Add(time.Duration(i) * time.Second), Due: noon.Add(time.Duration(i) * time.Second),
				}); err != nil {
					return err
				}
			}
			return nil
		})
		if n := claim(noon.Add(-time.Second)); len(n) != 0 {
			t.Errorf("claimed %d before they are due", len(n))
		}
		all := claim(noon.Add(2 * time.Second))
		if len(all) != 3 || all[0].Args["link"] != "secret-a" {
			t.Fatalf("claimed %+v", all)
		}
		if n := claim(noon.Add(3 * time.Second)); len(n) != 1 || n[0].ID != "d" {
			t.Errorf("claimed what is claimed: %+v", n)
		}
		a, b, c := all[0], all[1], all[2]
		a.State, a.Attempts, a.Done = mail.Sent, 1, noon.Add(4*time.Second)
		b.State, b.Attempts, b.Done, b.LastError = mail.Failed, 9, noon.Add(4*time.Second), "550 no such user"
		c.State, c.Attempts, c.Due, c.LastError = mail.Waiting, 1, noon.Add(5*time.Minute), "451 later"
		finish(a)
		finish(b)
		finish(c)
		same(t, health(), mail.Health{Waiting: 2, Oldest: noon.Add(2 * time.Second), Failed: 1, LastError: "451 later"})
		if n := claim(noon.Add(5*time.Minute - time.Second)); len(n) != 1 || n[0].ID != "d" { // its lease ran out; c waits
			t.Errorf("claimed %+v", n)
		}
		if n := claim(noon.Add(5 * time.Minute)); len(n) != 1 || n[0].ID != "c" || n[0].Args["link"] != "secret-c" || n[0].Attempts != 1 {
			t.Errorf("a retry is %+v", n)
		}
		put(t, s, func(tx *sqlstore.Tx) error {
			if n, err := tx.VoidMails("r", "p", "invitation", noon); err != nil || n != 2 {
				t.Errorf("voided %d, %v", n, err)
			}
			return nil
		})
		finish(c) // its worker was about to wait for a retry
		c.State = mail.Void
		d := get(t, s, func(tx *sqlstore.Tx) ([]mail.Message, error) { return tx.Mails("r", "p", 10) })
		if len(d) != 4 || d[0].State != mail.Void || d[1].State != mail.Void || d[2].State != mail.Failed || d[3].State != mail.Sent {
			t.Errorf("got %+v", d)
		}
		d[0].State = mail.Sent // another was already on its way when it was voided
		finish(d[0])
		if got := get(t, s, func(tx *sqlstore.Tx) ([]mail.Message, error) { return tx.Mails("r", "p", 1) }); got[0].State != mail.Sent {
			t.Errorf("what was sent is %s", got[0].State)
		}
	})
}

func TestLeases(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		do := func(want bool, fn func(*sqlstore.Tx) (bool, error)) {
			t.Helper()
			put(t, s, func(tx *sqlstore.Tx) error {
				ok, err := fn(tx)
				if ok != want {
					t.Errorf("got %v, want %v", ok, want)
				}
				return err
			})
		}
		take := func(holder string, at time.Duration) func(*sqlstore.Tx) (bool, error) {
			return func(tx *sqlstore.Tx) (bool, error) { return tx.TakeLease("crl", holder, noon.Add(at), time.Minute) }
		}
		renew := func(holder string, at time.Duration) func(*sqlstore.Tx) (bool, error) {
			return func(tx *sqlstore.Tx) (bool, error) { return tx.RenewLease("crl", holder, noon.Add(at), time.Minute) }
		}
		do(true, take("a", 0))
		do(false, take("a", 0))
		do(false, take("b", 59*time.Second))
		do(false, renew("b", 0))
		do(true, renew("a", 30*time.Second))
		do(false, take("b", 60*time.Second))
		do(false, renew("a", 90*time.Second)) // too late
		do(true, take("b", 90*time.Second))
		put(t, s, func(tx *sqlstore.Tx) error { return tx.EndLease("crl", "a", noon, "") }) // no longer a's to end
		do(false, take("c", 91*time.Second))
		put(t, s, func(tx *sqlstore.Tx) error { return tx.EndLease("crl", "b", noon.Add(92*time.Second), "disk full") })
		do(true, take("c", 92*time.Second))
		if l := get(t, s, (*sqlstore.Tx).Leases)[0]; l.Error != "disk full" || !l.Last.IsZero() || l.Holder != "c" {
			t.Errorf("got %+v", l)
		}
		put(t, s, func(tx *sqlstore.Tx) error { return tx.EndLease("crl", "c", noon.Add(93*time.Second), "") })
		if l := get(t, s, (*sqlstore.Tx).Leases)[0]; l.Error != "" || !l.Last.Equal(noon.Add(93*time.Second)) || !l.Until.IsZero() {
			t.Errorf("got %+v", l)
		}
	})
}

// Events that stand alone are durable when they are answered; a bad one among them fails alone.
func TestRecordedEventsAreDurable(t *testing.T) {
	testdb.EachAddress(t, func(t *testing.T, dsn string) {
		s := testdb.Open(t, dsn)
		var all sync.WaitGroup
		var mu sync.Mutex
		answered := map[string]bool{}
		for g := range 64 {
			all.Go(func() {
				for i := range 10 {
					id := fmt.Sprintf("%d-%d", g, i)
					if i == 5 {
						id = "twice" // one of 64 is the first
					}
					err := s.Record(t.Context(), audit.Event{ID: id, Realm: "r", At: noon, Type: "token.issued", Data: map[string]string{"client": id}})
					mu.Lock()
					if err == nil && answered[id] {
						t.Errorf("%s was recorded twice", id)
					}
					answered[id] = answered[id] || err == nil
					mu.Unlock()
				}
			})
		}
		all.Wait()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		again := testdb.Open(t, dsn)
		events := get(t, again, func(tx *sqlstore.Tx) ([]audit.Event, error) { return tx.Events(audit.Query{Limit: 1000}) })
		if len(events) != 64*9+1 {
			t.Errorf("%d events, want %d", len(events), 64*9+1)
		}
		for _, e := range events {
			if !answered[e.ID] || e.Data["client"] != e.ID {
				t.Errorf("event %+v was not answered or is mixed up", e)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := again.Record(ctx, audit.Event{}); err == nil {
			t.Error("a cancelled caller records")
		}
		refused(t, s.Record(t.Context(), audit.Event{}), fault.Unavailable, "store-closed")
	})
}
