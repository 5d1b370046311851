// Package password knows passwords: how they are read, refused, hashed and compared.
//
// The rules of this package:
//
//   - What a person typed is prepared by OpaqueString (RFC 8265), once and in one direction, and never shortened, folded
//     or trimmed (rules.go). Too long is refused before anything is hashed.
//   - New hashes are Argon2id over an HMAC of the password under the key ring's pepper: a stolen database alone gives
//     nothing to guess against. Imported hashes are verified as they are, and replaced at the first sign-in (phc.go).
//   - One question costs one hash: a wrong password, a person without one and an address that nobody has are all the
//     same work (SEC T-ENUM). Runs counts, so that tests can prove it.
//   - Hashing happens in a few places at a time, with a queue that ends (pool.go). A storm of sign-ins costs bounded
//     memory and gets an honest "try again in a moment".
//   - There are no composition rules. A password is refused for what makes it guessable: too short, common, known from a
//     breach, made of the person's own words, or weak by estimate.
package password

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"doorward/internal/authn"
)

// Params is what a realm asks of passwords; its fields are those of directory.PasswordRules, so one converts into the
// other. Anything below Floor counts as Floor and anything above Ceiling as Ceiling.
type Params struct {
	Length int // code points, at least
	Memory int // Argon2id m, KiB
	Passes int // Argon2id t
	Lanes  int // Argon2id p
}

// Floor is the least there is (SEC K-1, K-4), Ceiling the most: beyond it a sign-in would take seconds.
var (
	Floor   = Params{Length: 12, Memory: 19456, Passes: 2, Lanes: 1}
	Ceiling = Params{Length: 64, Memory: 1 << 18, Passes: 16, Lanes: 8}
)

func (p Params) bounded() Params {
	return Params{
		Length: min(max(p.Length, Floor.Length), Ceiling.Length),
		Memory: min(max(p.Memory, Floor.Memory), Ceiling.Memory),
		Passes: min(max(p.Passes, Floor.Passes), Ceiling.Passes),
		Lanes:  min(max(p.Lanes, Floor.Lanes), Ceiling.Lanes),
	}
}

// Config is what a Method is made of. Pepper is needed.
type Config struct {
	Pepper    func(password []byte) []byte // secret.Ring.Pepper
	Params    func(realm string) Params    // nil: Floor everywhere
	Workers   int                          // hashes at the same time; 0: one less than there are processors
	Queue     int                          // callers that may wait for a place; 0: 32 for each worker
	Deadline  time.Duration                // longest wait for a place; 0: 2 s
	Blocklist *List                        // the operator's breached passwords; nil: none but the built-in list
}

// Method implements authn.Method and authn.Enroller. It is safe for concurrent use.
type Method struct {
	pepper    func([]byte) []byte
	params    func(string) Params
	blocklist *List
	pool      *pool
	runs      atomic.Uint64
	compute   func(h hashed, input []byte) []byte // hashed.derive; tests that count rather than hash put less work here
}

var _ authn.Enroller = (*Method)(nil)

// New makes a Method. It panics without a pepper: hashes made without it could never be told apart later.
func New(c Config) *Method {
	if c.Pepper == nil {
		panic("password: no pepper")
	}
	if c.Params == nil {
		c.Params = func(string) Params { return Floor }
	}
	return &Method{
		pepper: c.Pepper, params: c.Params, blocklist: c.Blocklist, pool: newPool(c.Workers, c.Queue, c.Deadline), compute: hashed.derive,
	}
}

// Kind implements authn.Method.
func (m *Method) Kind() authn.Kind { return authn.Password }

// Runs is how many password hashes were computed so far.
func (m *Method) Runs() uint64 { return m.runs.Load() }

// Close lets the hashes that run end and turns away all others with fault.Unavailable "busy". It returns when none runs.
func (m *Method) Close() { m.pool.close() }

// derive is the only place where a hash is computed.
func (m *Method) derive(h hashed, password []byte) []byte {
	m.runs.Add(1)
	return m.compute(h, password)
}

// Remember keeps every hash that is computed from now on until forget is called, so that whoever chooses a password and shows it
// a moment later costs one hash: the demo makes its people so, before anybody can reach it. A server that answers never calls
// it. Neither call may meet a hash that is being computed.
func (m *Method) Remember() (forget func()) {
	type question struct{ hash, input string }
	var mu sync.Mutex
	compute, known := m.compute, map[question][]byte{}
	m.compute = func(h hashed, input []byte) []byte {
		if h.scheme != "argon2id" {
			return compute(h, input) // imported, and another's: nobody has just chosen it
		}
		asked := h
		asked.key = make([]byte, len(h.key)) // what is asked, not what is stored
		q := question{asked.String(), string(input)}
		mu.Lock()
		key, ok := known[q]
		mu.Unlock()
		if !ok {
			key = compute(h, input)
			mu.Lock()
			known[q] = key
			mu.Unlock()
		}
		return key
	}
	return func() { m.compute = compute }
}

// matches compares a typed password with a hash: one run, whatever is typed. Ours are compared with the prepared form,
// imported ones with what was typed: that is what the other system hashed.
func (m *Method) matches(h hashed, typed string) bool {
	if !h.keyed {
		return h.same(m.derive(h, []byte(typed)))
	}
	prepared, err := prepare(typed)
	return h.same(m.derive(h, m.pepper([]byte(prepared)))) && err == nil
}

// hash makes a new hash of a prepared password.
func (m *Method) hash(p Params, prepared string) string {
	h := argon2idOf(p)
	rand.Read(h.salt) // never fails (crypto/rand, Go 1.24)
	h.key = m.derive(h, m.pepper([]byte(prepared)))
	return h.String()
}

// Verify compares the password with the stored one. It rejects with "password-wrong", the same whether the address is
// unknown, the person has no password or typed another, and with "password-too-long", which depends on nothing stored. It
// fails with fault.Unavailable "busy" when too many wait. Shown.Changed says that the hash was made anew: it was
// imported, or the realm asks for more by now.
func (m *Method) Verify(ctx context.Context, f authn.Flow, stored []authn.Credential, a authn.Answer) (authn.Shown, error) {
	if tooLong(a.Text) {
		return authn.Shown{}, authn.Reject("password-too-long", "max", maxLength).In("password")
	}
	p := m.params(f.Realm).bounded()
	c, h, held, err := pick(stored, a.Credential)
	if err != nil {
		return authn.Shown{}, err
	}
	if !held {
		h = argon2idOf(p) // nobody's: the same work, and its key is never compared
	}
	var right, changed bool
	if err := m.pool.run(ctx, func() {
		right = m.matches(h, a.Text) && held
		if !right || !h.weakerThan(p) {
			return
		}
		if prepared, err := prepare(a.Text); err == nil { // else it stays as imported: it could never be typed again
			c.Data, changed = []byte(m.hash(p, prepared)), true
		}
	}); err != nil {
		return authn.Shown{}, err
	}
	if !right {
		return authn.Shown{}, authn.Reject("password-wrong").In("password")
	}
	return authn.Shown{Credential: c, Changed: changed}, nil
}

// pick chooses the one credential to compare with: the one picked, else the newest. A person has one password; if an
// import left two, the older one does not open.
func pick(stored []authn.Credential, picked string) (c authn.Credential, h hashed, held bool, err error) {
	for _, s := range stored {
		if s.State != authn.Active || picked != "" && s.ID != picked {
			continue
		}
		if !held || s.Created.After(c.Created) {
			c, held = s, true
		}
	}
	if held {
		if h, err = parse(string(c.Data)); err != nil {
			err = fmt.Errorf("password credential %s: %w", c.ID, err)
		}
	}
	return c, h, held, err
}

// Enrol sets a new password. It refuses with fault.Invalid (and authn.ErrRejected) as Check says, and with
// "password-same" when it is the one there already. That is no way to guess the old one: whoever gets here may replace
// it, and every guess that is not it does.
func (m *Method) Enrol(ctx context.Context, f authn.Flow, stored []authn.Credential, a authn.Answer) (authn.Shown, error) {
	var refused error
	var data []byte
	p := m.params(f.Realm).bounded()
	_, old, held, err := pick(stored, "")
	if err != nil {
		held = false // a damaged hash must not keep its owner from setting a new password
	}
	if tooLong(a.Text) {
		return authn.Shown{}, m.Check(f.Realm, f.Subject, a.Text)
	}
	if err := m.pool.run(ctx, func() { // the estimate of strength costs about as much as a hash: it stands in the same queue
		if refused = m.Check(f.Realm, f.Subject, a.Text); refused != nil {
			return
		}
		if held && m.matches(old, a.Text) {
			refused = refuse("password-same")
			return
		}
		prepared, _ := prepare(a.Text) // Check has seen that it can be
		data = []byte(m.hash(p, prepared))
	}); err != nil {
		return authn.Shown{}, err
	}
	if refused != nil {
		return authn.Shown{}, refused
	}
	return authn.Shown{Credential: authn.Credential{
		Realm: f.Realm, Person: f.Person, Kind: authn.Password, State: authn.Active, Data: data, Created: f.Now,
	}}, nil
}

// Hash makes the credential data of a password that is not asked for: the demo's people. It fails as Verify does when
// too many wait, and with fault.Invalid when the password is too long or has letters that cannot be prepared.
func (m *Method) Hash(ctx context.Context, realm, text string) ([]byte, error) {
	if tooLong(text) {
		return nil, refuse("password-too-long", "max", maxLength)
	}
	prepared, err := prepare(text)
	if err != nil {
		return nil, err
	}
	var data []byte
	err = m.pool.run(ctx, func() { data = []byte(m.hash(m.params(realm).bounded(), prepared)) })
	return data, err
}

// Import checks a hash of another system, a PHC or modular crypt string, and returns it as credential data. It fails with
// fault.Invalid "password-hash-unknown" for an algorithm that is not known, and for parameters that would let one
// sign-in take seconds or gigabytes.
func Import(hash string) ([]byte, error) {
	h, err := parse(hash)
	if err != nil {
		return nil, err
	}
	if h.keyed {
		return nil, errHash() // only this installation makes such, and an import cannot know its pepper
	}
	return []byte(hash), nil
}
