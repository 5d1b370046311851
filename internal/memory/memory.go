// Package memory remembers what was read from the database, as long as nothing was taken away from anybody.
package memory

import (
	"sync"
	"time"
)

// LiveFor bounds how long an answer is kept without looking at the database again.
const LiveFor = 4 * time.Second

// Memory keeps what was read from the database for as long as the epoch stands that was there before it was read, and
// never longer than LiveFor: a node that has lost sight of the epoch lets nothing live longer than that. A new epoch empties
// it at once. The zero value is ready, and safe for concurrent use.
type Memory[T any] struct {
	Cap   int // entries; more empty it
	mu    sync.Mutex
	epoch int64
	byKey map[string]kept[T]
}

type kept[T any] struct {
	value T
	at    time.Time
}

// Get returns what is remembered of a key.
func (m *Memory[T]) Get(key string, epoch int64, now time.Time) (value T, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.byKey[key]
	if age := now.Sub(k.at); !ok || epoch != m.epoch || age < 0 || age >= LiveFor {
		return value, false
	}
	return k.value, true
}

// Put remembers what was read at a time, where epoch was asked for before it was read.
func (m *Memory[T]) Put(key string, epoch int64, at time.Time, value T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if epoch < m.epoch {
		return // read before something ended
	}
	if epoch > m.epoch || len(m.byKey) >= m.Cap || m.byKey == nil {
		m.byKey = map[string]kept[T]{}
		m.epoch = epoch
	}
	m.byKey[key] = kept[T]{value, at}
}

// Drop forgets a key.
func (m *Memory[T]) Drop(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.byKey, key)
}
