package sqlstore

import "time"

var (
	insertCallerCheck = statement(`INSERT INTO caller_check (realm, request, agent, at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`)
	selectCallerCheck = statement(`SELECT at FROM caller_check WHERE realm = $1 AND request = $2 AND agent = $3`)
)

// BeginCallerCheck notes that an agent began to check the caller of a request; fresh is false where they had before.
func (t *Tx) BeginCallerCheck(realm, request, agent string, now time.Time) (fresh bool, err error) {
	n, err := t.exec(insertCallerCheck, realm, request, agent, millis(now))
	return n == 1, err
}

// CallerCheckBegun reports whether an agent began to check the caller of a request.
func (t *Tx) CallerCheckBegun(realm, request, agent string) (bool, error) {
	found, err := list(t, func(_ *Tx, r row) (at int64, err error) { return at, r.Scan(&at) }, selectCallerCheck, realm, request, agent)
	return len(found) == 1, err
}
