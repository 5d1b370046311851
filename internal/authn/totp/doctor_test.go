package totp

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"strconv"
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/fault"

	"pgregory.net/rapid"
)

// world is what login and the store do with what a method wants: spend, store, answer.
type world struct {
	m     *Method
	c     authn.Credential
	spent map[string]bool
}

func newWorld(t testing.TB, d data) *world {
	return &world{New(Config{}), credential(t, "c1", d), map[string]bool{}}
}

func (w *world) show(at time.Time, code string) error {
	shown, err := verify(w.m, at, code, w.c)
	for _, o := range shown.Spend {
		if w.spent[o.Key] && err == nil {
			err = shown.Replayed
		}
		w.spent[o.Key] = true
	}
	if shown.Changed {
		w.c = shown.Credential
	}
	return err
}

// a phone whose clock is off.
func (w *world) phone(t testing.TB, at time.Time, off time.Duration) string {
	return stateOf(t, w.c).Code(at.Add(off))
}

func TestREQ_B52_SEC_U2_APhone94SecondsOffIsTold(t *testing.T) {
	for _, c := range []struct {
		off       time.Duration
		direction string
		first     time.Duration // into the step, chosen so that the two codes pin the offset down
		second    time.Duration
		seconds   int
	}{
		{94 * time.Second, "fast", 26 * time.Second, 85500 * time.Millisecond, 94},
		{94 * time.Second, "fast", 0, 30 * time.Second, 105},
		{-94 * time.Second, "slow", 4 * time.Second, 63500 * time.Millisecond, 94},
		{-94 * time.Second, "slow", 0, 30 * time.Second, 105},
		{270 * time.Second, "fast", 10 * time.Second, 50 * time.Second, 270},
		{-290 * time.Second, "slow", 10 * time.Second, 45 * time.Second, 298},
	} {
		w := newWorld(t, data{Key: key(1)})
		err := w.show(noon.Add(c.first), w.phone(t, noon.Add(c.first), c.off))
		if f := wantCode(t, err, "code-wrong"); f.Args != nil {
			t.Errorf("%v off: the first answer tells %v", c.off, f.Args)
		}
		err = w.show(noon.Add(c.second), w.phone(t, noon.Add(c.second), c.off))
		f := wantCode(t, err, "code-clock")
		if f.Args["seconds"] != c.seconds || f.Args["direction"] != c.direction {
			t.Errorf("%v off: told %v", c.off, f.Args)
		}
		if off := time.Duration(c.seconds) * time.Second; (off - c.off.Abs()).Abs() > 15*time.Second {
			t.Errorf("%v off: %v is no answer", c.off, off)
		}
		for n := int64(2); n < 6; n++ { // told, not let in
			if err := w.show(later(n), w.phone(t, later(n), c.off)); !errors.Is(err, authn.ErrRejected) {
				t.Errorf("%v off: let in", c.off)
			}
		}
		if d := stateOf(t, w.c); d.Drift != 0 {
			t.Errorf("%v off: drift %d learned, which cannot reach it", c.off, d.Drift)
		}
	}
}

func TestREQ_B53_TheHintTakesTwoCodesInARow(t *testing.T) {
	type shown struct{ at, step int64 }
	for name, c := range map[string]struct {
		codes []shown
		last  string
	}{
		"one":                               {[]shown{{0, 3}}, "code-wrong"},
		"two in a row":                      {[]shown{{0, 3}, {1, 4}}, "code-clock"},
		"one passed unused":                 {[]shown{{0, 3}, {2, 5}}, "code-clock"},
		"two passed unused":                 {[]shown{{0, 3}, {3, 6}}, "code-wrong"},
		"the same again":                    {[]shown{{0, 3}, {0, 3}}, "code-wrong"},
		"the same later":                    {[]shown{{0, 3}, {1, 3}}, "code-wrong"},
		"the same between":                  {[]shown{{0, 3}, {1, 3}, {1, 4}}, "code-clock"},
		"the same again, later, between":    {[]shown{{0, 3}, {2, 3}, {2, 5}}, "code-clock"},
		"backwards":                         {[]shown{{0, 4}, {1, 3}}, "code-wrong"},
		"another offset":                    {[]shown{{0, 3}, {1, 6}}, "code-wrong"},
		"two codes ahead, read at one time": {[]shown{{0, 3}, {0, 4}}, "code-clock"}, // within the slack for typing
		"in a row, minutes apart":           {[]shown{{0, 6}, {9, 7}}, "code-wrong"},
		"far apart in steps":                {[]shown{{0, -8}, {0, 9}}, "code-wrong"},
		"a jump, then two in a row":         {[]shown{{0, 9}, {1, -4}, {2, -3}}, "code-clock"},
		"further and further":               {[]shown{{0, 10}, {1, 11}}, "code-clock"},
		"beyond what is looked at":          {[]shown{{0, 11}, {1, 12}}, "code-wrong"},
	} {
		w := newWorld(t, data{Key: key(1)})
		var err error
		for _, s := range c.codes {
			err = w.show(later(s.at), key(1).Code(later(s.step)))
		}
		if f := fault.As(err); f == nil || f.Code != c.last {
			t.Errorf("%s: %v, want %q", name, err, c.last)
		}
	}
}

// The argument of doctor.go, as a test: at one moment, for the code of every step around and for thousands of guesses,
// a verifier without a doctor accepts the same codes, and every refusal reads the same.
func TestREQ_B52_TheDoctorIsNoOracle(t *testing.T) {
	m, k := New(Config{}), key(1)
	c := credential(t, "c1", data{Key: k})
	t0 := k.step(noon)
	plain := map[string]bool{k.hotp(uint64(t0)): true, k.hotp(uint64(t0 - 1)): true}
	near := map[string]int64{}
	for away := int64(-reach); away <= reach; away++ {
		near[k.hotp(uint64(t0+away))] = away
	}
	if len(near) != 2*reach+1 {
		t.Fatal("two steps share a code: take another seed")
	}
	guesses := make([]string, 0, 4000)
	for code := range near {
		guesses = append(guesses, code)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for len(guesses) < cap(guesses) {
		guesses = append(guesses, strconv.Itoa(int(1e6 + r.Int64N(1e6)))[1:])
	}
	_, miss := verify(m, noon, "000000", c)
	found := 0
	for _, code := range guesses {
		shown, err := verify(m, noon, code, c)
		if plain[code] != (err == nil) {
			t.Fatalf("%s: %v, a plain verifier says %v", code, err, plain[code])
		}
		if err == nil {
			continue
		}
		if !reflect.DeepEqual(err, miss) || shown.Replayed != nil || shown.Question != nil {
			t.Errorf("%s: answered %#v, a miss is answered %#v", code, err, miss)
		}
		away, isNear := near[code]
		if !isNear {
			if shown.Changed || shown.Spend != nil {
				t.Errorf("%s, a miss, leaves a trace", code)
			}
			continue
		}
		found++
		if len(shown.Spend) != 1 || shown.Spend[0].Key != once(c, t0+away, noon).Key {
			t.Errorf("the code of t%+d is not burnt: %+v", away, shown.Spend)
		}
	}
	if found != 2*reach-1 {
		t.Errorf("%d found, the test shows little", found)
	}
}

// A code that was burnt while looking ahead opens nothing when its time comes.
func TestREQ_B52_AFoundCodeIsBurnt(t *testing.T) {
	for away := int64(1); away <= reach; away++ {
		w := newWorld(t, data{Key: key(1)})
		code := key(1).Code(later(away))
		wantCode(t, w.show(noon, code), "code-wrong")
		wantCode(t, w.show(noon, code), "code-wrong")
		wantCode(t, w.show(later(away), code), "code-used")
		wantCode(t, w.show(later(away+1), code), "code-used")
		if err := w.show(later(away+1), key(1).Code(later(away+1))); err != nil {
			t.Errorf("t%+d: the code after it: %v", away, err)
		}
	}
}

func TestSEC_S7_DriftIsLearnedOneStepAtATime(t *testing.T) {
	for _, c := range []struct {
		off   time.Duration
		codes int   // the first one that is accepted
		drift int64 // learned by then
	}{
		{0, 1, 0},
		{-30 * time.Second, 1, 0},
		{30 * time.Second, 3, 1},
		{60 * time.Second, 4, 2},
		{-60 * time.Second, 3, -1},
		{-90 * time.Second, 4, -2},
		{90 * time.Second, 0, 0},
		{-120 * time.Second, 0, 0},
	} {
		w := newWorld(t, data{Key: key(1)})
		accepted, drift := 0, int64(0)
		for n := 1; n <= 8 && accepted == 0; n++ {
			err := w.show(later(int64(n)), w.phone(t, later(int64(n)), c.off))
			d := stateOf(t, w.c)
			if d.Drift-drift > 1 || drift-d.Drift > 1 {
				t.Errorf("%v off: %d steps learned at once", c.off, d.Drift-drift)
			}
			if n == 1 && d.Drift != 0 {
				t.Errorf("%v off: learned from one code", c.off)
			}
			if drift = d.Drift; err == nil {
				accepted = n
			}
		}
		if accepted != c.codes || drift != c.drift {
			t.Errorf("%v off: accepted at code %d with drift %d, want %d, %d", c.off, accepted, drift, c.codes, c.drift)
		}
	}
}

// A clock that was put right is not punished for the drift that was learned.
func TestREQ_B52_AClockThatWasPutRight(t *testing.T) {
	for drift := int64(-driftMax); drift <= driftMax; drift++ {
		w := newWorld(t, data{Key: key(1), Drift: drift})
		first := w.show(later(0), w.phone(t, later(0), 0))
		if drift == 0 || drift == 1 { // the window holds the right time
			if first != nil {
				t.Errorf("drift %d: %v", drift, first)
			}
			continue
		}
		wantCode(t, first, "code-wrong")
		if err := w.show(later(1), w.phone(t, later(1), 0)); err != nil {
			t.Errorf("drift %d: the second right code: %v", drift, err)
		}
		if d := stateOf(t, w.c); d.Drift != 0 {
			t.Errorf("drift %d: still %d", drift, d.Drift)
		}
	}
}

// A phone that ran ahead and was put right shows steps that its codes have passed already. They stay dead (SEC T-4).
func TestSEC_T4_AClockPutRightRevivesNoOldStep(t *testing.T) {
	k := key(1)
	w := newWorld(t, data{Key: k, Drift: 2, Last: k.step(noon) + 5})
	for n := int64(0); n <= 5; n++ {
		if err := w.show(later(n), k.Code(later(n))); !errors.Is(err, authn.ErrRejected) {
			t.Fatalf("step %+d was passed already: %v", n-5, err)
		}
	}
	wantCode(t, w.show(later(6), k.Code(later(6))), "code-wrong")
	if err := w.show(later(7), k.Code(later(7))); err != nil {
		t.Errorf("the second new code: %v", err)
	}
}

func TestSEC_S7_InStrictModeOneStepAfterLearningToo(t *testing.T) {
	w := newWorld(t, data{Key: key(1)})
	w.m = New(Config{Strict: strict})
	wantCode(t, w.show(later(0), key(1).Code(later(-1))), "code-wrong")
	wantCode(t, w.show(later(1), key(1).Code(later(0))), "code-clock")
	if err := w.show(later(2), key(1).Code(later(1))); err != nil {
		t.Fatal(err)
	}
	wantCode(t, w.show(later(3), key(1).Code(later(3))), "code-wrong")
}

// Two phones, one code each: two finds that do not come from one seed agree about nothing.
func TestREQ_B53_TwoPhonesDoNotConfirmEachOther(t *testing.T) {
	m := New(Config{})
	a, b := credential(t, "a", data{Key: key(1)}), credential(t, "b", data{Key: key(2)})
	shown, err := verify(m, later(0), key(1).Code(later(3)), a, b)
	wantCode(t, err, "code-wrong")
	if a = shown.Credential; a.ID != "a" {
		t.Fatalf("remembered at %q", a.ID)
	}
	shown, err = verify(m, later(1), key(2).Code(later(4)), a, b)
	wantCode(t, err, "code-wrong")
	if b = shown.Credential; b.ID != "b" {
		t.Fatalf("remembered at %q", b.ID)
	}
	_, err = verify(m, later(2), key(1).Code(later(5)), a, b)
	wantCode(t, err, "code-clock")
}

// Any phone, any times, any guesses in between: at most one code per step is accepted, steps only rise, drift stays
// within two and moves by one (or back to nothing), and nothing wider than the window is ever accepted.
func TestSEC_T3_NoHistoryWidensTheWindow(t *testing.T) {
	k := key(1)
	rapid.Check(t, func(t *rapid.T) {
		w := &world{New(Config{}), authn.Credential{ID: "c1", State: authn.Active}, map[string]bool{}}
		w.c, _ = data{Key: k}.write(w.c)
		off := time.Duration(rapid.IntRange(-200, 200).Draw(t, "off")) * time.Second
		now := noon
		for range rapid.IntRange(1, 30).Draw(t, "codes") {
			now = now.Add(time.Duration(rapid.IntRange(0, 50).Draw(t, "wait")) * time.Second)
			step := k.step(now.Add(off))
			if rapid.IntRange(0, 5).Draw(t, "guess") == 0 {
				step = k.step(now) + rapid.Int64Range(-12, 12).Draw(t, "step")
			}
			before, _ := readData(w.c)
			err := w.show(now, k.hotp(uint64(step)))
			after, rerr := readData(w.c)
			if rerr != nil {
				t.Fatal(rerr)
			}
			if move := after.Drift - before.Drift; (move < -1 || move > 1) && after.Drift != 0 {
				t.Fatalf("drift moved by %d", move)
			}
			if f := fault.As(err); f != nil {
				if after.Last != before.Last && (f.Code != "code-used" || after.Last != step) { // a burnt step stays behind
					t.Fatal("a refusal moved the last step")
				}
				continue
			}
			if after.Last <= before.Last || after.Last != step {
				t.Fatalf("accepted step %d, stored %d after %d", step, after.Last, before.Last)
			}
			if from, to := after.window(now, false); step < from || step > to {
				t.Fatalf("accepted %d outside of [%d, %d]", step, from, to)
			}
		}
	})
}
