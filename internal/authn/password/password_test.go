package password

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"doorward/internal/authn"
	"doorward/internal/fault"
)

const good = "violin-otter-9-basalt"

func pepperOf(key string) func([]byte) []byte {
	return func(password []byte) []byte {
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write(password)
		return mac.Sum(nil)
	}
}

func newMethod(c Config) *Method {
	if c.Pepper == nil {
		c.Pepper = pepperOf("pepper")
	}
	return New(c)
}

// cheap is a Method whose hashes cost nothing, for tests that ask how many there are and what they depend on.
func cheap(c Config) *Method {
	m := newMethod(c)
	m.compute = func(h hashed, input []byte) []byte {
		mac := hmac.New(sha256.New, append([]byte(h.scheme), h.salt...))
		mac.Write(input)
		return mac.Sum(nil)
	}
	return m
}

func stored(data string) authn.Credential {
	return authn.Credential{ID: "c1", Realm: "shop", Person: "p1", Kind: authn.Password, State: authn.Active, Data: []byte(data)}
}

func hashOf(t testing.TB, m *Method, text string) string {
	t.Helper()
	data, err := m.Hash(context.Background(), "shop", text)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func verify(m *Method, text string, held ...authn.Credential) (authn.Shown, error) {
	return m.Verify(context.Background(), authn.Flow{Realm: "shop"}, held, authn.Answer{Text: text})
}

func enrol(m *Method, text string, held ...authn.Credential) (authn.Shown, error) {
	f := authn.Flow{Realm: "shop", Person: "p1", Now: time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)}
	return m.Enrol(context.Background(), f, held, authn.Answer{Text: text})
}

func wantCode(t testing.TB, err error, code string) *fault.Error {
	t.Helper()
	f := fault.As(err)
	if f == nil || f.Code != code || !errors.Is(err, authn.ErrRejected) {
		t.Fatalf("got %v, want a rejection %q", err, code)
	}
	return f
}

// distinct makes a password of n code points that is not weak.
func distinct(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteByte("violntr9basq7xkmzdewpgh"[(i*i+i*7)%23])
	}
	return b.String()
}

func TestSEC_K1_LengthLimits(t *testing.T) {
	lengths := func(least int) *Method {
		return newMethod(Config{Params: func(string) Params { return Params{Length: least} }})
	}
	for _, c := range []struct {
		least int
		text  string
		code  string
	}{
		{0, distinct(7), "password-too-short"},
		{0, distinct(8), "password-too-short"},
		{8, distinct(11), "password-too-short"}, // a realm cannot go below the floor
		{0, distinct(12), ""},
		{15, distinct(14), "password-too-short"},
		{15, distinct(15), ""},
		{0, distinct(64), ""},
		{0, distinct(256), ""},
		{0, distinct(257), "password-too-long"},
		{0, strings.Repeat("ä", 256), "password-weak"},
		{0, distinct(30) + strings.Repeat("😀", 226), ""}, // 256 code points in 934 bytes
		{0, strings.Repeat("😀", 256) + "a", "password-too-long"},
		{0, "", "password-too-short"},
		{0, strings.Repeat("u\u0308", 8), "password-too-short"}, // eight letters, however they were composed
		{0, strings.Repeat("x", 1<<20), "password-too-long"},
	} {
		m := lengths(c.least)
		_, err := enrol(m, c.text)
		if c.code == "" {
			if err != nil {
				t.Errorf("%d code points, at least %d: %v", utf8.RuneCountInString(c.text), c.least, err)
			}
			continue
		}
		if f := wantCode(t, err, c.code); f.Kind != fault.Invalid || f.Field != "password" {
			t.Errorf("%d code points: %v", utf8.RuneCountInString(c.text), f)
		}
		if m.Runs() != 0 {
			t.Errorf("%d code points: refusing cost a hash", utf8.RuneCountInString(c.text))
		}
	}
	f := wantCode(t, lengths(15).Check("shop", authn.Subject{}, "short"), "password-too-short")
	if f.Args["min"] != 15 || f.Args["length"] != 5 {
		t.Errorf("told %v", f.Args)
	}
}

func TestSEC_K1_TooLongIsNeverHashed(t *testing.T) {
	m := cheap(Config{})
	held := stored(hashOf(t, m, good))
	before := m.Runs()
	for _, text := range []string{distinct(257), strings.Repeat("😀", 257), strings.Repeat("ä", 256) + "aaa" + strings.Repeat("ä", 300), strings.Repeat("x", 1<<20)} {
		_, err := verify(m, text, held)
		wantCode(t, err, "password-too-long")
		if _, again := verify(m, text); !reflect.DeepEqual(err, again) {
			t.Error("the answer depends on what is stored")
		}
		if _, err := m.Hash(context.Background(), "shop", text); !fault.Of(err, fault.Invalid) {
			t.Errorf("Hash: %v", err)
		}
	}
	if m.Runs() != before {
		t.Errorf("%d hashes", m.Runs()-before)
	}
}

// What is different stays different, and what is the same to a person is the same.
func TestSEC_K2_NothingIsCutFoldedOrTrimmed(t *testing.T) {
	m := cheap(Config{})
	long := distinct(100)
	for name, c := range map[string]struct {
		set, typed string
		same       bool
	}{
		"byte 73":                {long, long[:72] + "#" + long[73:], false},
		"the last byte":          {long, long[:99] + "#", false},
		"cut at 72":              {long, long[:72], false},
		"a blank behind":         {good, good + " ", false},
		"a blank before":         {good, " " + good, false},
		"two blanks":             {"violin otter basalt", "violin  otter basalt", false},
		"case":                   {good, strings.ToUpper(good), false},
		"width":                  {good, "ｖiolin-otter-9-basalt", false},
		"ligature":               {"offizier-otter-9-basalt", "oﬃzier-otter-9-basalt", false},
		"another emoji":          {"violin-otter-😀-basalt", "violin-otter-😁-basalt", false},
		"an emoji":               {"violin-otter-😀-basalt", "violin-otter-😀-basalt", true},
		"NFC and NFD":            {"violine-müde-9-otter", "violine-mu\u0308de-9-otter", true},
		"NFD and NFC":            {"violine-mu\u0308de-9-otter", "violine-müde-9-otter", true},
		"a blank that no-breaks": {"violin otter basalt", "violin\u00a0otter basalt", true},
		"a wide blank":           {"violin otter basalt", "violin\u3000otter basalt", true},
	} {
		shown, err := enrol(m, c.set)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := verify(m, c.typed, stored(string(shown.Credential.Data))); (err == nil) != c.same {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSEC_K2_LettersThatCannotBeTypedAgain(t *testing.T) {
	m := cheap(Config{})
	held := stored(hashOf(t, m, good))
	for _, text := range []string{
		good + "\x00", "\x00" + good, good + "\n", good + "\t", good + "\x7f", good + "\u200b", good + "\ufe0f", good + "\ue000", good + "\U000e0001",
		good + "\ufdd0", good + "\xff", good + "\u0378", good + "👨\u200d👩",
	} {
		wantCode(t, m.Check("shop", authn.Subject{}, text), "password-characters")
		before := m.Runs()
		_, err := verify(m, text, held)
		wantCode(t, err, "password-wrong")
		if m.Runs() != before+1 {
			t.Errorf("%q: %d hashes", text, m.Runs()-before)
		}
	}
	if m.Runs() == 0 {
		t.Fatal("nothing was hashed")
	}
}

// What the demo does while it makes its people: the right password is right and a wrong one wrong, with less work.
func TestRememberedHashes(t *testing.T) {
	m := cheap(Config{})
	computed, compute := 0, m.compute
	m.compute = func(h hashed, input []byte) []byte { computed++; return compute(h, input) }
	forget := m.Remember()
	shown, err := enrol(m, good)
	if err != nil {
		t.Fatal(err)
	}
	other, err := enrol(m, good)
	if err != nil || string(other.Credential.Data) == string(shown.Credential.Data) || computed != 2 {
		t.Fatalf("two people chose the same: %v, %d hashes", err, computed)
	}
	opens := func(text string, right bool, want int) {
		t.Helper()
		held := stored(string(shown.Credential.Data))
		if _, err := verify(m, text, held); (err == nil) != right || computed != want {
			t.Errorf("%q: %v after %d hashes, want %d", text, err, computed, want)
		}
	}
	opens(good, true, 2)
	opens(good+"!", false, 3)
	opens(good+"!", false, 3)
	forget()
	opens(good, true, 4)
	opens(good+"!", false, 5)
}

func TestSEC_K4_ParametersAreNeverBelowTheFloor(t *testing.T) {
	for _, c := range []struct{ asked, got Params }{
		{Params{}, Floor},
		{Params{Length: 1, Memory: 1, Passes: 1, Lanes: 0}, Floor},
		{Params{Length: -1, Memory: -1, Passes: -1, Lanes: -1}, Floor},
		{Params{Length: 15, Memory: 20000, Passes: 3, Lanes: 2}, Params{15, 20000, 3, 2}},
		{Params{Length: 1 << 30, Memory: 1 << 30, Passes: 1 << 30, Lanes: 1 << 30}, Ceiling},
	} {
		if got := c.asked.bounded(); got != c.got {
			t.Errorf("%+v: %+v", c.asked, got)
		}
	}
	for _, c := range []struct {
		asked  Params
		prefix string
	}{
		{Params{Memory: 8, Passes: 1}, "$argon2id$v=19$m=19456,t=2,p=1,keyid=ZHc$"},
		{Params{Memory: 20480, Passes: 3, Lanes: 2}, "$argon2id$v=19$m=20480,t=3,p=2,keyid=ZHc$"},
	} {
		m := newMethod(Config{Params: func(realm string) Params {
			if realm != "shop" {
				t.Errorf("asked for realm %q", realm)
			}
			return c.asked
		}})
		shown, err := enrol(m, good)
		if err != nil {
			t.Fatal(err)
		}
		data := string(shown.Credential.Data)
		if !strings.HasPrefix(data, c.prefix) {
			t.Errorf("stored %s", data)
		}
		h, err := parse(data)
		if err != nil || len(h.salt) != 16 || len(h.key) != 32 || h.String() != data {
			t.Errorf("%s is read as %s, %v", data, h, err)
		}
		again, err := enrol(m, good)
		if err != nil || string(again.Credential.Data) == data {
			t.Errorf("two hashes share a salt (%v)", err)
		}
	}
}

func TestSEC_K4_APepperIsNeeded(t *testing.T) {
	m := newMethod(Config{})
	data := hashOf(t, m, good)
	if _, err := verify(m, good, stored(data)); err != nil {
		t.Fatal(err)
	}
	_, err := verify(newMethod(Config{Pepper: pepperOf("another")}), good, stored(data))
	wantCode(t, err, "password-wrong")
	_, err = verify(m, good, stored(strings.Replace(data, ",keyid=ZHc", "", 1)))
	wantCode(t, err, "password-wrong")
	defer func() {
		if recover() == nil {
			t.Error("New takes no pepper for one")
		}
	}()
	New(Config{})
}

// One hash for whoever asks, and one answer.
func TestSEC_TENUM_UnknownAndWrongCostTheSame(t *testing.T) {
	m := cheap(Config{})
	right := stored(hashOf(t, m, good))
	suspended := right
	suspended.State = authn.Suspended
	var first error
	for name, held := range map[string][]authn.Credential{
		"address unknown": nil, "no password": {}, "wrong password": {right}, "suspended": {suspended}, "two held": {right, right},
	} {
		for _, text := range []string{"wrong-" + good, "", " ", good + "\x00"} {
			before := m.Runs()
			shown, err := verify(m, text, held...)
			wantCode(t, err, "password-wrong")
			if first == nil {
				first = err
			}
			if !reflect.DeepEqual(err, first) || !reflect.DeepEqual(shown, authn.Shown{}) {
				t.Errorf("%s: %v, %+v", name, err, shown)
			}
			if n := m.Runs() - before; n != 1 {
				t.Errorf("%s, %q: %d hashes", name, text, n)
			}
		}
	}
	before := m.Runs()
	if _, err := verify(m, good, right); err != nil || m.Runs() != before+1 {
		t.Errorf("the right one: %v, %d hashes", err, m.Runs()-before)
	}
	_, err := verify(m, good, suspended)
	wantCode(t, err, "password-wrong")
}

// The decoy of a realm that asks for more costs more, like its passwords.
func TestSEC_TENUM_TheDecoyHasTheRealmsParameters(t *testing.T) {
	p := Params{Length: 12, Memory: 30000, Passes: 3, Lanes: 2}
	h := argon2idOf(p)
	real, err := parse(newMethod(Config{}).hash(p, good))
	if err != nil {
		t.Fatal(err)
	}
	if h.memory != real.memory || h.passes != real.passes || h.lanes != real.lanes || len(h.salt) != len(real.salt) || len(h.key) != len(real.key) || h.keyed != real.keyed {
		t.Errorf("%s and %s", h, real)
	}
}

func TestSEC_K4_RehashAtSignIn(t *testing.T) {
	low, high := newMethod(Config{}), newMethod(Config{Params: func(string) Params { return Params{Memory: 20480, Passes: 3} }})
	old := hashOf(t, low, good)
	_, err := verify(high, "wrong-"+good, stored(old))
	wantCode(t, err, "password-wrong")
	shown, err := verify(high, good, stored(old))
	if err != nil || !shown.Changed || !strings.Contains(string(shown.Credential.Data), "m=20480,t=3") || shown.Credential.ID != "c1" {
		t.Fatalf("%v, %s", err, shown.Credential.Data)
	}
	if shown, err = verify(high, good, shown.Credential); err != nil || shown.Changed {
		t.Errorf("made anew twice: %v", err)
	}
	for _, more := range []Params{{Memory: 20481, Passes: 3}, {Memory: 20480, Passes: 4}, {Memory: 20480, Passes: 3, Lanes: 2}} {
		m := cheap(Config{Params: func(string) Params { return more }})
		held := stored(m.hash(Params{Memory: 20480, Passes: 3, Lanes: 1}, good))
		if shown, err := verify(m, good, held); err != nil || !shown.Changed {
			t.Errorf("%+v is asked, and it stays as it is: %v", more, err)
		}
	}
	if shown, err = verify(low, good, shown.Credential); err != nil || shown.Changed {
		t.Errorf("a realm that asks for less weakens: %v, %v", err, shown.Changed)
	}
}

func TestTheNewestPasswordOpensAlone(t *testing.T) {
	m := cheap(Config{})
	old, young := stored(hashOf(t, m, good)), stored(hashOf(t, m, "another-"+good))
	old.ID, young.ID = "old", "young"
	young.Created = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, held := range [][]authn.Credential{{old, young}, {young, old}} {
		_, err := verify(m, good, held...)
		wantCode(t, err, "password-wrong")
		if shown, err := verify(m, "another-"+good, held...); err != nil || shown.Credential.ID != "young" {
			t.Errorf("%v, %q", err, shown.Credential.ID)
		}
	}
}

func TestREQ_A6_TheSamePasswordAgain(t *testing.T) {
	m := newMethod(Config{})
	held := stored(hashOf(t, m, good))
	_, err := enrol(m, good, held)
	wantCode(t, err, "password-same")
	shown, err := enrol(m, "another-"+good, held)
	if err != nil {
		t.Fatal(err)
	}
	c := shown.Credential
	if c.ID != "" || c.Kind != authn.Password || c.Person != "p1" || c.Realm != "shop" || c.State != authn.Active || c.Created.IsZero() {
		t.Errorf("made %+v", c)
	}
	if _, err := enrol(m, good, stored("damaged")); err != nil {
		t.Errorf("a damaged hash keeps its owner out: %v", err)
	}
}

// A blank answer opens nothing (SEC T-9), not even a hash of nothing that some import left behind.
func TestSEC_T9_ABlankPasswordOpensNothing(t *testing.T) {
	m := cheap(Config{})
	for _, text := range []string{"", "\x00", "\t", "\xff"} {
		_, err := verify(m, text, stored(m.hash(Floor, "")))
		wantCode(t, err, "password-wrong")
	}
}

func TestDamageIsNoRejectionAndTellsNothing(t *testing.T) {
	m := newMethod(Config{})
	for _, data := range []string{"", "SECRET", "$argon2id$SECRET"} {
		_, err := verify(m, good, stored(data))
		if err == nil || errors.Is(err, authn.ErrRejected) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%q: %v", data, err)
		}
	}
}

func FuzzPassword(f *testing.F) {
	for _, s := range []string{good, "müde", "mu\u0308de", "\x00", "\xff", " ", "\u00a0a", "😀", strings.Repeat("a", 300), "\u1100\u1161"} {
		f.Add(s)
	}
	m := newMethod(Config{})
	f.Fuzz(func(t *testing.T, text string) {
		subject := authn.Subject{Name: "Anna Keller", Address: "anna@keller.example"}
		if err := m.Check("shop", subject, text); err != nil {
			if !fault.Of(err, fault.Invalid) || !errors.Is(err, authn.ErrRejected) {
				t.Fatal(err)
			}
		} else if utf8.RuneCountInString(text) < Floor.Length && len(text) < Floor.Length {
			t.Fatalf("%q is taken", text)
		}
		if score, hints := Strength(subject, text); score < 0 || score > 4 || score < 4 && len(hints) == 0 {
			t.Fatalf("%q: %d, %q", text, score, hints)
		}
		prepared, err := prepare(text)
		if err != nil {
			return
		}
		if again, err := prepare(prepared); err != nil || again != prepared {
			t.Fatalf("%q is prepared as %q, that as %q: %v", text, prepared, again, err)
		}
	})
}
