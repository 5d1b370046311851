package sqlstore

import (
	"slices"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"

	"doorward/internal/audit"
)

// Rules of the trail: an event is a plain row in the transaction that caused it, and no row is ever changed but for the
// mark that it has its place in the tree. Events wait for that place in an index of their own, so that one whose
// transaction commits late is found whatever its id. The place of a leaf and of a hash is a primary key: two sequencers
// at once end in an error, never in two trees.

const eventColumns = `id, realm, at, type, actor, person, organization, session, flow, network, browser, reason, data`

var (
	insertEvent      = statement(insertEvents(1))
	insertManyEvents = statement(insertEvents(eventRows))

	// $1 realm, $2 person, $3 organization, $4 types between commas, $5 before this id, $6 limit
	eventsOfAll          = eventsOf(``)
	eventsOfRealm        = eventsOf(`realm = $1 AND `)
	eventsOfPerson       = eventsOf(`realm = $1 AND person = $2 AND person <> '' AND `)
	eventsOfOrganization = eventsOf(`realm = $1 AND organization = $3 AND organization <> '' AND `)

	eventsByID    = statement(`SELECT ` + eventColumns + ` FROM event WHERE ($1 = '' OR realm = $1) AND id IN (` + placeholders(2, eventBatch) + `)`)
	eventsWaiting = statement(`SELECT ` + eventColumns + ` FROM event WHERE NOT sequenced ORDER BY id LIMIT $1`)
	markSequenced = statement(`UPDATE event SET sequenced = TRUE WHERE id IN (` + placeholders(1, eventBatch) + `)`)

	insertLeaf       = statement(`INSERT INTO leaf (place, event, hash) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`)
	insertTreeHash   = statement(`INSERT INTO tree_hash (place, hash) VALUES ($1, $2) ON CONFLICT DO NOTHING`)
	selectTreeSize   = statement(`SELECT COALESCE(MAX(place) + 1, 0) FROM leaf`)
	selectTreeHash   = statement(`SELECT place, hash FROM tree_hash WHERE place IN (` + placeholders(1, eventBatch) + `)`)
	selectLeaves     = statement(`SELECT place, event, hash FROM leaf WHERE place >= $1 ORDER BY place LIMIT $2`)
	insertCheckpoint = statement(`INSERT INTO checkpoint (size, at, root, note) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`)
	selectCheckpoint = statement(`SELECT size, root, note, at FROM checkpoint ORDER BY at DESC, size DESC LIMIT $1`)
)

const (
	eventBatch  = 50 // rows per statement where a list is handed in
	eventRows   = 32 // rows of one INSERT where many are recorded at once
	eventValues = 13 // values of eventColumns
)

func insertEvents(n int) string {
	rows := make([]string, n)
	for i := range rows {
		rows[i] = `(` + placeholders(1+i*eventValues, eventValues) + `, FALSE)`
	}
	return `INSERT INTO event (` + eventColumns + `, sequenced) VALUES ` + strings.Join(rows, `, `)
}

func eventsOf(fixed string) string {
	return statement(`SELECT ` + eventColumns + ` FROM event WHERE ` + fixed + `($1 = '' OR realm = $1) AND ($2 = '' OR person = $2)
		AND ($3 = '' OR organization = $3) AND ($4 = '' OR $4 LIKE '%,' || type || ',%') AND id < $5 ORDER BY id DESC LIMIT $6`)
}

func scanEvent(_ *Tx, r row) (e audit.Event, err error) {
	return e, r.Scan(&e.ID, &e.Realm, stamp{&e.At}, &e.Type, &e.Actor, &e.Person, &e.Organization, &e.Session, &e.Flow, &e.Network, &e.Browser,
		&e.Reason, document{&e.Data})
}

// Audit adds an event to the trail. It gets an id when it has none, and the store's time when it has none.
func (t *Tx) Audit(e audit.Event) error {
	values, err := t.valuesOf(e)
	if err != nil {
		return err
	}
	_, err = t.exec(insertEvent, values...)
	return err
}

func (t *Tx) valuesOf(e audit.Event) ([]any, error) {
	if e.ID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, t.fail(err)
		}
		e.ID = id.String()
	}
	if e.At.IsZero() {
		e.At = t.store.clock()
	}
	data := `{}`
	if len(e.Data) > 0 {
		var err error
		if data, err = t.text(e.Data); err != nil {
			return nil, err
		}
	}
	return []any{e.ID, e.Realm, millis(e.At), e.Type, e.Actor, e.Person, e.Organization, e.Session, e.Flow, e.Network, e.Browser, e.Reason, data}, nil
}

// Events returns one page of events, newest first. Events named by Query.IDs come all at once, without paging.
func (t *Tx) Events(q audit.Query) ([]audit.Event, error) {
	if len(q.IDs) > 0 {
		return t.eventsByID(q)
	}
	text := eventsOfAll
	switch {
	case q.Realm == "":
	case q.Person != "":
		text = eventsOfPerson
	case q.Organization != "":
		text = eventsOfOrganization
	default:
		text = eventsOfRealm
	}
	types, before := "", q.BeforeID
	if len(q.Types) > 0 {
		types = "," + strings.Join(q.Types, ",") + ","
	}
	if before == "" {
		before = afterEverything
	}
	return list(t, scanEvent, text, q.Realm, q.Person, q.Organization, types, before, limited(q.Limit))
}

func (t *Tx) eventsByID(q audit.Query) ([]audit.Event, error) {
	var out []audit.Event
	err := batches(q.IDs, func(ids []any) error {
		some, err := list(t, scanEvent, eventsByID, append([]any{q.Realm}, ids...)...)
		for _, e := range some {
			if (q.Person == "" || q.Person == e.Person) && (q.Organization == "" || q.Organization == e.Organization) &&
				(len(q.Types) == 0 || slices.Contains(q.Types, e.Type)) {
				out = append(out, e)
			}
		}
		return err
	})
	slices.SortFunc(out, func(a, b audit.Event) int { return strings.Compare(b.ID, a.ID) })
	return slices.CompactFunc(out, func(a, b audit.Event) bool { return a.ID == b.ID }), err
}

// batches hands over all in batches of exactly eventBatch, the last one filled up with its last element.
func batches[T any](all []T, do func([]any) error) error {
	for len(all) > 0 {
		n := min(len(all), eventBatch)
		some := make([]any, eventBatch)
		for i := range some {
			some[i] = all[min(i, n-1)]
		}
		if err := do(some); err != nil {
			return err
		}
		all = all[n:]
	}
	return nil
}

// EventsWithoutLeaf returns events that have no place in the tree yet, by id.
func (t *Tx) EventsWithoutLeaf(limit int) ([]audit.Event, error) {
	return list(t, scanEvent, eventsWaiting, limited(limit))
}

// AppendLeaves places leaves at from and onwards, and their hashes at tlog.StoredHashCount(from) and onwards. It fails
// with fault.Conflict "stale" when the tree has another size by now, and then nothing of the transaction may remain.
func (t *Tx) AppendLeaves(from int64, leaves []audit.Leaf, hashes []tlog.Hash) error {
	size, err := t.TreeSize()
	if err == nil && size != from {
		err = errStale
	}
	if err != nil {
		return err
	}
	ids := make([]string, len(leaves))
	for i, l := range leaves {
		ids[i] = l.Event
		if err := t.placed(insertLeaf, from+int64(i), l.Event, l.Hash[:]); err != nil {
			return err
		}
	}
	first := tlog.StoredHashCount(from)
	for i, h := range hashes {
		if err := t.placed(insertTreeHash, first+int64(i), h[:]); err != nil {
			return err
		}
	}
	return batches(ids, func(ids []any) error { _, err := t.exec(markSequenced, ids...); return err })
}

// placed inserts into the tree. A place that is taken dooms the transaction: half a batch must never stay.
func (t *Tx) placed(text string, args ...any) error {
	n, err := t.exec(text, args...)
	if err == nil && n == 0 {
		err = t.fail(errStale)
	}
	return err
}

// TreeSize is the number of leaves.
func (t *Tx) TreeSize() (int64, error) { return one(t, scanInt, selectTreeSize) }

type treeHash struct {
	place int64
	hash  tlog.Hash
}

func scanTreeHash(_ *Tx, r row) (h treeHash, err error) {
	return h, r.Scan(&h.place, digest{&h.hash})
}

// TreeHashes returns the stored hashes at the indexes, in their order. It fails with "not-found" when one is missing.
func (t *Tx) TreeHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make(map[int64]tlog.Hash, len(indexes))
	if err := batches(indexes, func(some []any) error {
		hashes, err := list(t, scanTreeHash, selectTreeHash, some...)
		for _, h := range hashes {
			found[h.place] = h.hash
		}
		return err
	}); err != nil {
		return nil, err
	}
	out := make([]tlog.Hash, len(indexes))
	for i, at := range indexes {
		h, ok := found[at]
		if !ok {
			return nil, errNotFound
		}
		out[i] = h
	}
	return out, nil
}

func scanLeaf(_ *Tx, r row) (l audit.Leaf, err error) {
	return l, r.Scan(&l.Index, &l.Event, digest{&l.Hash})
}

// Leaves returns leaves from a place on.
func (t *Tx) Leaves(from int64, limit int) ([]audit.Leaf, error) {
	return list(t, scanLeaf, selectLeaves, from, limited(limit))
}

// AddCheckpoint keeps a signed checkpoint. The same size at the same time is fault.Exists.
func (t *Tx) AddCheckpoint(c audit.Checkpoint) error {
	return t.insert(insertCheckpoint, c.Size, millis(c.At), c.Root[:], c.Note)
}

func scanCheckpoint(_ *Tx, r row) (c audit.Checkpoint, err error) {
	return c, r.Scan(&c.Size, digest{&c.Root}, &c.Note, stamp{&c.At})
}

// Checkpoints returns signed checkpoints, newest first.
func (t *Tx) Checkpoints(limit int) ([]audit.Checkpoint, error) {
	return list(t, scanCheckpoint, selectCheckpoint, limited(limit))
}
