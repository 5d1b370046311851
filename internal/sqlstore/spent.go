package sqlstore

import "time"

var insertSpent = statement(`INSERT INTO spent (key, expires) VALUES ($1, $2) ON CONFLICT DO NOTHING`)

// Spend spends a derived single use, such as the step of a code. Of all who spend the same key exactly one is told that
// it was fresh. The key may be forgotten after expires, when nothing could be made of it any more.
func (t *Tx) Spend(key string, expires time.Time) (fresh bool, err error) {
	n, err := t.exec(insertSpent, key, millis(expires))
	return n == 1, err
}
