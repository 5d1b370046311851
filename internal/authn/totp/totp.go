// Package totp knows codes from an authenticator app (RFC 6238).
//
// The rules of this package:
//
//   - A new seed has 160 bits and makes six digits with SHA-1 every 30 seconds: what the real apps support (SEC T-2).
//     Imported keys may use SHA-256 or SHA-512, eight digits, another period.
//   - Two steps are accepted, the current one and the one before, both shifted by the drift learned for this credential;
//     one step in strict mode. Never more, and never a step at or before the last one accepted (SEC T-3, T-4).
//   - Drift is learned one step at a time and never beyond two: at set-up from the confirming code, later from two codes
//     in a row (SECURITY S7).
//   - The clock doctor (doctor.go) looks ten steps around and accepts nothing there. It burns what it finds.
//   - Whoever confirms a new seed holds it, so they are told at once what is wrong with their clock (SEC B83).
//   - A seed that is not confirmed within ten minutes, or by the third code, is never used (SEC T-7, REQ B83).
package totp

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"

	"doorward/internal/authn"
)

const (
	seedLen    = 20               // bytes of a new seed: 160 bits, as RFC 4226 R6 recommends
	offerLife  = 10 * time.Minute // of a seed that is not confirmed (SEC T-7)
	offerTries = 3                // wrong codes until a seed is replaced (REQ B83)
	driftMax   = 2                // steps (SEC T-3)
	nameMax    = 60               // letters of a credential's name
	spentLife  = time.Hour        // how long a spent step is remembered; no window reaches as far, see TestSEC_T4
)

// Config is what a Method is made of.
type Config struct {
	// Strict says for a realm whether only the current step is accepted (ASVS 6.5.5). Nil: nowhere.
	Strict func(realm string) bool
}

// Method implements authn.Method, authn.Offerer and authn.Waiter. It has no state and is safe for concurrent use.
type Method struct{ strict func(string) bool }

var (
	_ authn.Offerer = (*Method)(nil)
	_ authn.Waiter  = (*Method)(nil)
)

// New makes the method.
func New(c Config) *Method {
	if c.Strict == nil {
		c.Strict = func(string) bool { return false }
	}
	return &Method{c.Strict}
}

// Kind implements authn.Method.
func (m *Method) Kind() authn.Kind { return authn.TOTP }

// data is a credential's Data. The store seals it.
type data struct {
	Key
	Last  int64 `json:"last"`            // the last step accepted
	Drift int64 `json:"drift,omitempty"` // steps the device's clock is ahead (behind: below zero)
	Seen  *seen `json:"seen,omitempty"`  // what the clock doctor remembers
}

// NewData is the credential data of a key that was confirmed elsewhere: an import, the demo. Codes from before now's step
// are refused. It fails with fault.Invalid "totp-key-invalid".
func NewData(k Key, now time.Time) ([]byte, error) {
	if err := k.check(); err != nil {
		return nil, err
	}
	return json.Marshal(data{Key: k, Last: k.step(now) - 1})
}

func readData(c authn.Credential) (data, error) {
	var d data
	if err := json.Unmarshal(c.Data, &d); err != nil {
		// The decoder's own words may quote the data, and the data is the seed.
		return d, fmt.Errorf("totp credential %s: its data cannot be read", c.ID)
	}
	if err := d.check(); err != nil {
		return d, fmt.Errorf("totp credential %s: %w", c.ID, err)
	}
	if d.Drift < -driftMax || d.Drift > driftMax {
		return d, fmt.Errorf("totp credential %s: drift out of range", c.ID)
	}
	return d, nil
}

func (d data) write(c authn.Credential) (authn.Credential, error) {
	var err error
	c.Data, err = json.Marshal(d)
	return c, err
}

// window is the first and last step accepted now.
func (d data) window(now time.Time, strict bool) (from, to int64) {
	to = d.step(now) + d.Drift
	if strict {
		return to, to
	}
	return to - 1, to
}

// matches compares a code with the one of a step, in constant time.
func (k Key) matches(step int64, code string) bool {
	return step >= 0 && subtle.ConstantTimeCompare([]byte(k.hotp(uint64(step))), []byte(code)) == 1
}

// wait is the time until a code after the last accepted one falls into the window; zero when one is there already.
func (d data) wait(now time.Time) time.Duration {
	if ahead := d.Last - d.step(now) - d.Drift; ahead >= 0 {
		return d.left(now) + time.Duration(ahead*d.period())*time.Second
	}
	return 0
}

// errUsed says that a code was used and when the next one comes. Where the window already holds an unused step, the
// device shows it with its next code, so within a period.
func (d data) errUsed(now time.Time) error {
	wait := d.wait(now)
	if wait == 0 {
		wait = d.left(now)
	}
	return authn.Reject("code-used", "seconds", int(math.Ceil(wait.Seconds()))).In("code")
}

func errWrong() error { return authn.Reject("code-wrong").In("code") }

func once(c authn.Credential, step int64, now time.Time) authn.Once {
	return authn.Once{Key: c.ID + ":" + strconv.FormatInt(step, 10), Expires: now.Add(spentLife)}
}

// decoy is what a code is compared with where the person is unknown or has no app: the same work, for nothing.
var decoy = data{Key: Key{Seed: make([]byte, seedLen)}, Last: math.MaxInt64 / 2}

// Verify compares a code with each of the person's credentials, or with the one they picked (Answer.Credential). It
// rejects with "code-format", "code-wrong", "code-used" (Args seconds: until the next code) or "code-clock" (Args
// seconds, direction "fast" or "slow"). Another error means that stored data is damaged.
//
// An accepted step is spent in the database, so of two that come together one wins; the other is told "code-used".
func (m *Method) Verify(_ context.Context, f authn.Flow, stored []authn.Credential, a authn.Answer) (authn.Shown, error) {
	code, err := readCode(a.Text)
	if err != nil {
		return authn.Shown{}, err
	}
	var candidates []candidate
	for _, c := range stored {
		if c.State != authn.Active || a.Credential != "" && c.ID != a.Credential {
			continue
		}
		d, err := readData(c)
		if err != nil {
			return authn.Shown{}, err
		}
		candidates = append(candidates, candidate{c, d})
	}
	strict := m.strict(f.Realm)
	for _, c := range candidates {
		if step, ok := c.open(code, f.Now, strict); ok {
			return c.accept(step, f.Now)
		}
	}
	for _, c := range candidates {
		if c.used(code, f.Now, strict) {
			return authn.Shown{}, c.errUsed(f.Now)
		}
	}
	if len(candidates) == 0 {
		decoy.open(code, f.Now, strict)
		decoy.used(code, f.Now, strict)
		decoy.look(code, f.Now, strict)
		return authn.Shown{}, errWrong()
	}
	return diagnose(candidates, code, f.Now, strict)
}

// candidate is a stored credential with its data read.
type candidate struct {
	credential authn.Credential
	data
}

func (c candidate) accept(step int64, now time.Time) (authn.Shown, error) {
	c.Last, c.Seen = step, nil
	changed, err := c.write(c.credential)
	return authn.Shown{
		Credential: changed, Changed: true, Spend: []authn.Once{once(changed, step, now)}, Replayed: c.errUsed(now),
	}, err
}

// open finds the step of the window, after the last accepted one, whose code this is.
func (d data) open(code string, now time.Time, strict bool) (step int64, ok bool) {
	from, to := d.window(now, strict)
	for step := to; step >= from; step-- {
		if d.matches(step, code) && step > d.Last {
			return step, true
		}
	}
	return 0, false
}

// used reports whether the code is the last one accepted, or an older one that would be accepted had it come first.
func (d data) used(code string, now time.Time, strict bool) bool {
	from, to := d.window(now, strict)
	found := d.Last >= to-2*reach && d.Last <= to && d.matches(d.Last, code)
	for step := from; step <= to; step++ {
		found = (step <= d.Last && d.matches(step, code)) || found
	}
	return found
}

// Wait implements authn.Waiter: how long until one of the credentials has a code that was not used (DESIGN 15: the page
// counts down instead of failing).
func (m *Method) Wait(f authn.Flow, stored []authn.Credential) time.Duration {
	wait := time.Duration(-1)
	for _, c := range stored {
		if c.State != authn.Active {
			continue
		}
		d, err := readData(c)
		if err != nil {
			continue
		}
		if w := d.wait(f.Now); wait < 0 || w < wait {
			wait = w
		}
	}
	return max(wait, 0)
}

// Offer makes a fresh seed to be confirmed.
func (m *Method) Offer(_ context.Context, f authn.Flow, _ []authn.Credential) (authn.Question, error) {
	return offer(f)
}

func offer(f authn.Flow) (authn.Question, error) {
	k := Key{Seed: make([]byte, seedLen)}
	rand.Read(k.Seed) // never fails (crypto/rand, Go 1.24)
	d, err := json.Marshal(k)
	return authn.Question{Kind: authn.TOTP, Binding: true, Data: d, Asked: f.Now, Expires: f.Now.Add(offerLife)}, err
}

// Enrol confirms the offered seed with a code. A device up to one step off is accepted and its drift learned; one that
// is further off is told so at once ("code-clock", Args as for Verify). It rejects with "code-format", "code-wrong",
// "code-clock"; with the third wrong code it puts a fresh seed in Shown.Question and rejects with "code-wrong-new-key",
// with the same Args where the clock was the reason; without an open seed with "key-expired", and a fresh one.
func (m *Method) Enrol(_ context.Context, f authn.Flow, _ []authn.Credential, a authn.Answer) (authn.Shown, error) {
	if !f.Open.For(authn.TOTP, true, f.Now) {
		return renew(f, authn.Reject("key-expired"))
	}
	k, err := readOffer(f.Open)
	if err != nil {
		return authn.Shown{}, err
	}
	code, err := readCode(a.Text)
	if err != nil {
		return authn.Shown{}, err
	}
	strict := m.strict(f.Realm)
	for _, drift := range []int64{0, 1, -1} {
		d := data{Key: k, Last: -1, Drift: drift}
		if step, ok := d.open(code, f.Now, strict); ok {
			d.Last = step
			c, err := d.write(authn.Credential{
				Realm: f.Realm, Person: f.Person, Kind: authn.TOTP, State: authn.Active, Name: cleanName(a.Name), Model: a.Model, Created: f.Now,
			})
			return authn.Shown{Credential: c}, err
		}
	}
	wrong := errWrong()
	fresh := data{Key: k, Last: -1}
	if found := fresh.look(code, f.Now, strict); len(found) > 0 {
		wrong = errClock(k.offset(seen{Step: found[0], At: f.Now.UnixMilli()}))
	}
	if f.Wrong+1 < offerTries {
		return authn.Shown{}, wrong
	}
	return renew(f, newKey(wrong))
}

// renew rejects and asks anew with a fresh seed.
func renew(f authn.Flow, why error) (authn.Shown, error) {
	q, err := offer(f)
	if err != nil {
		return authn.Shown{}, err
	}
	return authn.Shown{Question: &q}, why
}

var errOffer = errors.New("totp: the open question holds no key")

func readOffer(q authn.Question) (Key, error) {
	var k Key
	if q.Kind != authn.TOTP || !q.Binding || json.Unmarshal(q.Data, &k) != nil || k.check() != nil {
		return Key{}, errOffer
	}
	return k, nil
}

// cleanName makes a name fit for lists: one line, no invisible letters, cut at a length.
func cleanName(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsGraphic(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > nameMax {
		s = strings.TrimSpace(string(r[:nameMax]))
	}
	return s
}
