package demo

import (
	"slices"
	"sync"
	"time"

	"doorward/internal/secret"
)

// Bounds of an application's memory.
const (
	maxVisits  = 500
	maxBegun   = 4 // sign-ins that one browser has begun: tabs
	maxSpent   = 2000
	visitLife  = 8 * time.Hour
	begunLife  = time.Hour
	spentLife  = 5 * time.Minute
	maxRecords = 5
)

// visit is one browser at an application.
type visit struct {
	begun   map[string]begun // by state
	known   *Known
	idToken string // for the sign-out
	paid    []Paid
	since   time.Time
}

// begun is a sign-in that has left for the provider.
type begun struct {
	nonce, verifier string
	at              time.Time
	pay             *Payment // what waits for a fresh proof; nil for a plain sign-in
}

// memory is what an application remembers: browsers, and the log-out tokens it has seen. A restart forgets it all.
type memory struct {
	mu     sync.Mutex
	visits map[string]*visit // by the cookie's value
	spent  map[string]time.Time
}

func newMemory() *memory { return &memory{visits: map[string]*visit{}, spent: map[string]time.Time{}} }

// look is a copy of a visit.
func (m *memory) look(cookie string, now time.Time) (visit, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.alive(cookie, now)
	if !ok {
		return visit{}, false
	}
	return visit{known: v.known, idToken: v.idToken, paid: slices.Clone(v.paid), since: v.since}, true
}

func (m *memory) alive(cookie string, now time.Time) (*visit, bool) {
	v, ok := m.visits[cookie]
	if !ok || now.Sub(v.since) > visitLife {
		return nil, false
	}
	return v, true
}

// add makes a visit under a new name; where memory is full the oldest goes.
func (m *memory) add(v *visit) (cookie string) {
	oldest := ""
	for name, have := range m.visits {
		if v.since.Sub(have.since) > visitLife {
			delete(m.visits, name)
		} else if oldest == "" || have.since.Before(m.visits[oldest].since) {
			oldest = name
		}
	}
	if len(m.visits) >= maxVisits {
		delete(m.visits, oldest)
	}
	cookie = secret.Token()
	m.visits[cookie] = v
	return cookie
}

// begin notes a sign-in that leaves. The cookie is a new one where the browser had none.
func (m *memory) begin(cookie, state string, b begun) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.alive(cookie, b.at)
	if !ok {
		v = &visit{since: b.at}
		cookie = m.add(v)
	}
	oldest := ""
	for name, have := range v.begun {
		if b.at.Sub(have.at) > begunLife {
			delete(v.begun, name)
		} else if oldest == "" || have.at.Before(v.begun[oldest].at) {
			oldest = name
		}
	}
	if len(v.begun) >= maxBegun {
		delete(v.begun, oldest)
	}
	if v.begun == nil {
		v.begun = map[string]begun{}
	}
	v.begun[state] = b
	return cookie
}

// take gives back a sign-in of this browser, once.
func (m *memory) take(cookie, state string, now time.Time) (begun, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.alive(cookie, now)
	if !ok {
		return begun{}, false
	}
	b, ok := v.begun[state]
	delete(v.begun, state)
	return b, ok && now.Sub(b.at) <= begunLife
}

// enter makes a signed-in visit of the browser, under a new name: whoever planted the old one is left outside. What was
// paid stays with the same person.
func (m *memory) enter(cookie string, known Known, idToken string, paid *Paid, now time.Time) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	fresh := &visit{known: &known, idToken: idToken, since: now}
	if old, ok := m.alive(cookie, now); ok {
		if old.known != nil && old.known.Subject == known.Subject {
			fresh.paid = old.paid
		}
		delete(m.visits, cookie)
	}
	if paid != nil {
		fresh.paid = append([]Paid{*paid}, fresh.paid...)
		fresh.paid = fresh.paid[:min(len(fresh.paid), maxRecords)]
	}
	return m.add(fresh)
}

// leave forgets a browser.
func (m *memory) leave(cookie string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.visits, cookie)
}

// end forgets every browser of a session, or of a person where no session is named, and says how many those were.
func (m *memory) end(session, subject string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, v := range m.visits {
		if v.known != nil && (session != "" && v.known.Session == session || session == "" && v.known.Subject == subject) {
			delete(m.visits, name)
			n++
		}
	}
	return n
}

// spend notes the name of a token and reports whether it was new.
func (m *memory) spend(id string, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, at := range m.spent {
		if now.Sub(at) > spentLife {
			delete(m.spent, name)
		}
	}
	if _, seen := m.spent[id]; seen || len(m.spent) >= maxSpent {
		return false
	}
	m.spent[id] = now
	return true
}
