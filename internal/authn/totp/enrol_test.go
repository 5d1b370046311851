package totp

import (
	"bytes"
	"context"
	"errors"
	"math/bits"
	"strings"
	"testing"
	"time"

	"doorward/internal/authn"
)

func offered(t testing.TB, at time.Time) (authn.Flow, Key) {
	t.Helper()
	m, f := New(Config{}), authn.Flow{Realm: "shop", Person: "p1", Now: at}
	q, err := m.Offer(context.Background(), f, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.Open = q
	k, err := readOffer(q)
	if err != nil {
		t.Fatal(err)
	}
	return f, k
}

func enrol(f authn.Flow, code string) (authn.Shown, error) {
	return New(Config{}).Enrol(context.Background(), f, nil, authn.Answer{Text: code, Name: " Work\u200b\n phone ", Model: "microsoft"})
}

func TestSEC_T2_NewSeeds(t *testing.T) {
	seen := map[string]bool{}
	ones := 0
	const seeds = 1000
	for range seeds {
		_, k := offered(t, noon)
		if len(k.Seed) != 20 || k.Algorithm != "" || k.digits() != 6 || k.period() != 30 {
			t.Fatalf("%d bytes, %q, %d digits, %d s", len(k.Seed), k.Algorithm, k.digits(), k.period())
		}
		if seen[string(k.Seed)] {
			t.Fatal("a seed came twice")
		}
		seen[string(k.Seed)] = true
		for _, b := range k.Seed {
			ones += bits.OnesCount8(b)
		}
	}
	if n := seeds * 160; ones < n/2-6*200 || ones > n/2+6*200 { // six standard deviations (sqrt(160000)/2 = 200)
		t.Errorf("%d of %d bits are set", ones, n)
	}
}

func TestSEC_T7_ASeedLivesTenMinutes(t *testing.T) {
	f, k := offered(t, noon)
	if f.Open.Kind != authn.TOTP || !f.Open.Binding || !f.Open.Expires.Equal(noon.Add(10*time.Minute)) || !f.Open.Asked.Equal(noon) {
		t.Fatalf("asked %+v", f.Open)
	}
	f.Now = noon.Add(10*time.Minute - time.Millisecond)
	if _, err := enrol(f, k.Code(f.Now)); err != nil {
		t.Errorf("in the last moment: %v", err)
	}
	f.Now = noon.Add(10 * time.Minute)
	shown, err := enrol(f, k.Code(f.Now))
	wantCode(t, err, "key-expired")
	fresh(t, shown, k, f.Now)
	f.Open = authn.Question{}
	shown, err = enrol(f, k.Code(f.Now))
	wantCode(t, err, "key-expired")
	fresh(t, shown, k, f.Now)
	f.Open = authn.Question{Kind: authn.Phone, Binding: true, Expires: f.Now.Add(time.Minute)}
	_, err = enrol(f, k.Code(f.Now))
	wantCode(t, err, "key-expired")
}

func fresh(t *testing.T, shown authn.Shown, old Key, now time.Time) {
	t.Helper()
	if shown.Question == nil {
		t.Fatal("no fresh seed")
	}
	k, err := readOffer(*shown.Question)
	if err != nil || bytes.Equal(k.Seed, old.Seed) || !shown.Question.For(authn.TOTP, true, now) {
		t.Fatalf("the seed is not fresh: %v", err)
	}
	if shown.Credential.Data != nil {
		t.Fatal("a refusal holds a credential")
	}
}

func TestREQ_B21_ARightCodeMakesTheCredential(t *testing.T) {
	for _, c := range []struct {
		away, drift int64
	}{{0, 0}, {-1, 0}, {1, 1}, {-2, -1}} {
		f, k := offered(t, noon)
		shown, err := enrol(f, k.Code(later(c.away)))
		if err != nil {
			t.Errorf("t%+d: %v", c.away, err)
			continue
		}
		cred := shown.Credential
		if cred.ID != "" || cred.Kind != authn.TOTP || cred.State != authn.Active || cred.Name != "Work phone" || cred.Model != "microsoft" || cred.Person != "p1" {
			t.Errorf("made %+v", cred)
		}
		cred.ID = "c1"
		d := stateOf(t, cred)
		if !bytes.Equal(d.Seed, k.Seed) || d.Drift != c.drift || d.Last != k.step(noon)+c.away {
			t.Errorf("t%+d: drift %d, last %d", c.away, d.Drift, d.Last-k.step(noon))
		}
		// B22: the first sign-in wants a fresh code.
		_, err = verify(New(Config{}), noon, k.Code(later(c.away)), cred)
		wantCode(t, err, "code-used")
		if _, err := verify(New(Config{}), later(1), k.Code(later(1+c.away)), cred); err != nil {
			t.Errorf("t%+d: the next code: %v", c.away, err)
		}
	}
}

func TestREQ_B52_SetUpTellsTheClockAtOnce(t *testing.T) {
	for _, c := range []struct {
		away      int64
		seconds   int
		direction string
	}{{2, 75, "fast"}, {10, 315, "fast"}, {-3, 75, "slow"}, {-10, 285, "slow"}} {
		f, k := offered(t, noon)
		shown, err := enrol(f, k.Code(later(c.away)))
		e := wantCode(t, err, "code-clock")
		if e.Args["seconds"] != c.seconds || e.Args["direction"] != c.direction || shown.Credential.Data != nil {
			t.Errorf("t%+d: %v", c.away, e.Args)
		}
	}
	f, k := offered(t, noon)
	_, err := enrol(f, k.Code(later(11)))
	wantCode(t, err, "code-wrong")
}

func TestREQ_B83_TheThirdWrongCodeGivesAFreshKey(t *testing.T) {
	f, k := offered(t, noon)
	for f.Wrong = 0; f.Wrong < 2; f.Wrong++ {
		shown, err := enrol(f, "000000")
		wantCode(t, err, "code-wrong")
		if shown.Question != nil {
			t.Fatalf("a fresh key after %d", f.Wrong+1)
		}
	}
	shown, err := enrol(f, "000000")
	if e := wantCode(t, err, "code-wrong-new-key"); e.Args != nil {
		t.Errorf("a miss tells %v", e.Args)
	}
	fresh(t, shown, k, noon)
	shown, err = enrol(f, k.Code(later(4)))
	if e := wantCode(t, err, "code-wrong-new-key"); e.Args["direction"] != "fast" || e.Args["seconds"] != 135 {
		t.Errorf("clock help is missing: %v", e.Args)
	}
	fresh(t, shown, k, noon)
	if _, err := enrol(f, k.Code(noon)); err != nil {
		t.Errorf("the third answer is right: %v", err)
	}
	shown, err = enrol(f, "12345")
	wantCode(t, err, "code-format")
	if shown.Question != nil {
		t.Error("a slip of the finger costs the key")
	}
}

func TestSEC_T3_StrictSetUp(t *testing.T) {
	f, k := offered(t, noon)
	m := New(Config{Strict: strict})
	for away, drift := range map[int64]int64{0: 0, 1: 1, -1: -1} {
		shown, err := m.Enrol(context.Background(), f, nil, authn.Answer{Text: k.Code(later(away))})
		if err != nil {
			t.Fatal(err)
		}
		if d := stateOf(t, shown.Credential); d.Drift != drift {
			t.Errorf("t%+d: drift %d", away, d.Drift)
		}
	}
	_, err := m.Enrol(context.Background(), f, nil, authn.Answer{Text: k.Code(later(-2))})
	wantCode(t, err, "code-clock")
}

func TestADamagedOfferIsOurFailure(t *testing.T) {
	f, _ := offered(t, noon)
	f.Open.Data = []byte(`{"seed":"U0VDUkVU"}`)
	_, err := enrol(f, "123456")
	if err == nil || errors.Is(err, authn.ErrRejected) || strings.Contains(err.Error(), "U0VDUkVU") {
		t.Errorf("got %v", err)
	}
}

func TestNamesAreCleaned(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "  My   phone\t": "My phone", "a\x00b\u202ec": "abc", strings.Repeat("ä", 70): strings.Repeat("ä", 60), "\xffx": "x",
	} {
		if got := cleanName(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
