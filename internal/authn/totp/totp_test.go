package totp

import (
	"bytes"
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/fault"
)

// noon is the first moment of a step.
var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func key(n byte) Key { return Key{Seed: bytes.Repeat([]byte{n}, seedLen)} }

func credential(t testing.TB, id string, d data) authn.Credential {
	t.Helper()
	c, err := d.write(authn.Credential{ID: id, Realm: "shop", Person: "p1", Kind: authn.TOTP, State: authn.Active, Name: "name of " + id})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func stateOf(t testing.TB, c authn.Credential) data {
	t.Helper()
	d, err := readData(c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func verify(m *Method, at time.Time, code string, stored ...authn.Credential) (authn.Shown, error) {
	return m.Verify(context.Background(), authn.Flow{Realm: "shop", Now: at}, stored, authn.Answer{Text: code})
}

func wantCode(t testing.TB, err error, code string) *fault.Error {
	t.Helper()
	f := fault.As(err)
	if f == nil || f.Code != code || !errors.Is(err, authn.ErrRejected) {
		t.Fatalf("got %v, want a rejection %q", err, code)
	}
	return f
}

// at the n-th step after noon.
func later(n int64) time.Time { return noon.Add(time.Duration(n) * 30 * time.Second) }

func strict(string) bool { return true }

func TestSEC_T3_AcceptanceMatrix(t *testing.T) {
	k := key(1)
	accepted := 0
	for _, isStrict := range []bool{false, true} {
		m := New(Config{})
		if isStrict {
			m = New(Config{Strict: strict})
		}
		for drift := int64(-driftMax); drift <= driftMax; drift++ {
			c := credential(t, "c1", data{Key: k, Drift: drift})
			for away := int64(-5); away <= 5; away++ {
				for _, within := range []time.Duration{0, 15 * time.Second, 30*time.Second - time.Millisecond} {
					shown, err := verify(m, noon.Add(within), k.Code(later(away)), c)
					want := away == drift || away == drift-1 && !isStrict
					if (err == nil) != want {
						t.Errorf("strict %v, drift %d, code of t%+d, %v into the step: %v", isStrict, drift, away, within, err)
					}
					if err != nil {
						wantCode(t, err, "code-wrong")
						continue
					}
					accepted++
					if d := stateOf(t, shown.Credential); d.Last != k.step(noon)+away || d.Drift != drift {
						t.Errorf("drift %d, t%+d: stored %d, %d", drift, away, d.Last-k.step(noon), d.Drift)
					}
				}
			}
		}
	}
	if accepted != 3*(5*2+5) {
		t.Errorf("%d accepted", accepted)
	}
}

func TestSEC_T3_DriftBeyondTwoIsDamage(t *testing.T) {
	for _, drift := range []int64{-3, 3, math.MinInt64, math.MaxInt64} {
		_, err := verify(New(Config{}), noon, "123456", credential(t, "c1", data{Key: key(1), Drift: drift}))
		if err == nil || errors.Is(err, authn.ErrRejected) {
			t.Errorf("drift %d: %v", drift, err)
		}
	}
}

func TestSEC_T4_NothingAtOrBeforeTheLastStep(t *testing.T) {
	m, k := New(Config{}), key(1)
	c := credential(t, "c1", data{Key: k})
	shown, err := verify(m, noon, k.Code(noon), c)
	if err != nil {
		t.Fatal(err)
	}
	if len(shown.Spend) != 1 || !shown.Changed {
		t.Fatalf("an accepted code is not spent: %+v", shown)
	}
	for now := int64(-5); now <= 5; now++ {
		for step := int64(-5); step <= 0; step++ {
			if _, err := verify(m, later(now), k.Code(later(step)), shown.Credential); !errors.Is(err, authn.ErrRejected) {
				t.Errorf("at t%+d the code of t%+d: %v", now, step, err)
			}
		}
	}
	next, err := verify(m, later(1), k.Code(later(1)), shown.Credential)
	if err != nil {
		t.Fatalf("the next code: %v", err)
	}
	if next.Spend[0].Key == shown.Spend[0].Key {
		t.Error("two steps share a key")
	}
}

// Two requests that read the same row: both find the code right, and both name the same single use.
func TestSEC_T4_TheSameStepIsTheSameSingleUse(t *testing.T) {
	m, k := New(Config{}), key(1)
	c := credential(t, "c1", data{Key: k})
	one, err1 := verify(m, noon, k.Code(noon), c)
	two, err2 := verify(m, later(1), k.Code(noon), c)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if one.Spend[0].Key != two.Spend[0].Key {
		t.Errorf("%q and %q", one.Spend[0].Key, two.Spend[0].Key)
	}
	wantCode(t, one.Replayed, "code-used")
	other, err := verify(m, noon, k.Code(noon), credential(t, "c2", data{Key: k}))
	if err != nil {
		t.Fatal(err)
	}
	if other.Spend[0].Key == one.Spend[0].Key {
		t.Error("two credentials share a key")
	}
}

// A spent step is remembered for as long as any window, shifted by any drift, could still hold it.
func TestSEC_T4_SpentStepsOutliveEveryWindow(t *testing.T) {
	for _, period := range []int64{periodMin, 30, periodMax} {
		k := Key{Seed: make([]byte, seedLen), Period: period}
		furthest := data{Key: k, Drift: -driftMax}
		step := k.step(noon) + reach
		end := noon
		for from, _ := furthest.window(end, false); from <= step; from, _ = furthest.window(end, false) {
			end = end.Add(time.Duration(period) * time.Second)
		}
		if kept := once(authn.Credential{ID: "c1"}, step, noon).Expires; kept.Before(end) {
			t.Errorf("period %d: forgotten at %v, accepted until %v", period, kept, end)
		}
	}
}

// What another factor of the same submission came to is not asked: the code is spent by being right.
func TestSEC_T5_ARightCodeIsSpentWhateverElseHappens(t *testing.T) {
	m, k := New(Config{}), key(1)
	f := authn.Flow{Realm: "shop", Now: noon, Wrong: 4}
	shown, err := m.Verify(context.Background(), f, []authn.Credential{credential(t, "c1", data{Key: k})}, authn.Answer{Text: k.Code(noon)})
	if err != nil {
		t.Fatal(err)
	}
	if len(shown.Spend) != 1 {
		t.Fatal("nothing to spend")
	}
	f.Evidence = []authn.Evidence{{Kind: authn.Password, At: noon}} // the password was right the second time
	_, err = m.Verify(context.Background(), f, []authn.Credential{shown.Credential}, authn.Answer{Text: k.Code(noon)})
	wantCode(t, err, "code-used")
}

func TestSEC_T8_SeveralNamedCredentials(t *testing.T) {
	m := New(Config{})
	var all []authn.Credential
	for n, id := range []string{"c1", "c2", "c3"} {
		all = append(all, credential(t, id, data{Key: key(byte(n + 1))}))
	}
	for i, c := range all {
		code := stateOf(t, c).Code(noon)
		shown, err := verify(m, noon, code, all...)
		if err != nil || shown.Credential.ID != c.ID || shown.Credential.Name != c.Name {
			t.Errorf("code of %s shows %s: %v", c.ID, shown.Credential.ID, err)
		}
		for j, picked := range all {
			_, err := m.Verify(context.Background(), authn.Flow{Now: noon}, all, authn.Answer{Text: code, Credential: picked.ID})
			if (err == nil) != (i == j) {
				t.Errorf("code of %s for the picked %s: %v", c.ID, picked.ID, err)
			}
		}
		others := append(append([]authn.Credential{}, all[:i]...), all[i+1:]...)
		if _, err := verify(m, noon, code, others...); !errors.Is(err, authn.ErrRejected) {
			t.Errorf("code of the removed %s: %v", c.ID, err)
		}
		for _, o := range others {
			if _, err := verify(m, noon, stateOf(t, o).Code(noon), others...); err != nil {
				t.Errorf("removing %s touched %s: %v", c.ID, o.ID, err)
			}
		}
		for _, state := range []authn.CredentialState{authn.Suspended, authn.Ended} {
			c.State = state
			if _, err := verify(m, noon, code, c); !errors.Is(err, authn.ErrRejected) {
				t.Errorf("%s is shown: %v", state, err)
			}
		}
	}
}

func TestREQ_B23_AUsedCodeSaysWhenTheNextOneComes(t *testing.T) {
	m, k := New(Config{}), key(1)
	for _, c := range []struct {
		name           string
		first, again   time.Time
		shows          int64 // steps the device is ahead
		drift, seconds int
	}{
		{"at once", later(0), later(0), 0, 0, 30},
		{"18 s into the step", noon.Add(18 * time.Second), noon.Add(18 * time.Second), 0, 0, 12},
		{"within the last second", noon, noon.Add(29*time.Second + 800*time.Millisecond), 0, 0, 1},
		{"in the next step", noon, noon.Add(35 * time.Second), 0, 0, 25},
		{"long after", noon, noon.Add(100 * time.Second), 0, 0, 20},
		{"a fast phone", noon, noon.Add(10 * time.Second), 1, 1, 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			code := k.hotp(uint64(k.step(c.first) + c.shows))
			shown, err := verify(m, c.first, code, credential(t, "c1", data{Key: k, Drift: int64(c.drift)}))
			if err != nil {
				t.Fatal(err)
			}
			_, err = verify(m, c.again, code, shown.Credential)
			if f := wantCode(t, err, "code-used"); f.Args["seconds"] != c.seconds || f.Field != "code" {
				t.Errorf("in %v s, want %d", f.Args["seconds"], c.seconds)
			}
		})
	}
}

func TestREQ_B22_ThePageCountsDownToTheNextCode(t *testing.T) {
	m, k := New(Config{}), key(1)
	step := k.step(noon)
	at := noon.Add(18 * time.Second)
	for _, c := range []struct {
		name string
		held []data
		want time.Duration
	}{
		{"nothing held", nil, 0},
		{"never used", []data{{Key: k}}, 0},
		{"the current code used", []data{{Key: k, Last: step}}, 12 * time.Second},
		{"the one before used", []data{{Key: k, Last: step - 1}}, 0},
		{"a fast phone, used", []data{{Key: k, Last: step + 1, Drift: 1}}, 12 * time.Second},
		{"used while it was fast, set right since", []data{{Key: k, Last: step + 1}}, 42 * time.Second},
		{"another phone is free", []data{{Key: k, Last: step}, {Key: key(2)}}, 0},
	} {
		var stored []authn.Credential
		for _, d := range c.held {
			stored = append(stored, credential(t, "c", d))
		}
		if got := m.Wait(authn.Flow{Now: at}, stored); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	ended := credential(t, "c1", data{Key: k})
	ended.State = authn.Suspended
	if got := m.Wait(authn.Flow{Now: at}, []authn.Credential{ended, credential(t, "c2", data{Key: k, Last: step})}); got != 12*time.Second {
		t.Errorf("a suspended phone is counted on: %v", got)
	}
}

func TestSEC_X_NobodyHoldsNoCode(t *testing.T) {
	m := New(Config{})
	for _, code := range []string{"000000", decoy.Code(noon), decoy.hotp(uint64(decoy.step(noon) - 1)), decoy.hotp(math.MaxInt64 / 2)} {
		shown, err := verify(m, noon, code)
		f := wantCode(t, err, "code-wrong")
		if len(f.Args) != 0 || shown.Changed || shown.Spend != nil || shown.Question != nil {
			t.Errorf("nobody's answer differs: %+v, %+v", shown, f)
		}
	}
}

func TestDamagedDataIsNoRejectionAndTellsNoSeed(t *testing.T) {
	for _, text := range []string{``, `{`, `{"seed":"SECRETSECRETSECRETSECRETSEC"}`, `{"seed":"AAAA"}`, `{"seed":"AAAAAAAAAAAAAAAAAAAAAAAAAAA=","algorithm":"MD5"}`,
		`{"seed":"AAAAAAAAAAAAAAAAAAAAAAAAAAA=","digits":7}`, `{"seed":"AAAAAAAAAAAAAAAAAAAAAAAAAAA=","period":0.5}`} {
		_, err := verify(New(Config{}), noon, "123456", authn.Credential{ID: "c1", State: authn.Active, Data: []byte(text)})
		if err == nil || errors.Is(err, authn.ErrRejected) || strings.Contains(err.Error(), "SECRET") || strings.Contains(err.Error(), "AAAA") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestImportedKeysVerify(t *testing.T) {
	m := New(Config{})
	for _, k := range []Key{
		{Seed: bytes.Repeat([]byte{7}, 32), Algorithm: "SHA256", Digits: 6, Period: 30},
		{Seed: bytes.Repeat([]byte{8}, 64), Algorithm: "SHA512", Digits: 8, Period: 60},
		{Seed: bytes.Repeat([]byte{9}, seedMin), Algorithm: "SHA1"},
	} {
		d, err := NewData(k, noon)
		if err != nil {
			t.Fatal(err)
		}
		c := authn.Credential{ID: "c1", State: authn.Active, Data: d}
		_, err = verify(m, noon, k.hotp(uint64(k.step(noon)-1)), c)
		wantCode(t, err, "code-used")
		if _, err := verify(m, noon, k.Code(noon), c); err != nil {
			t.Errorf("%+v: %v", k, err)
		}
	}
	for _, k := range []Key{{}, {Seed: make([]byte, seedMin-1)}, {Seed: make([]byte, seedMax+1)}, {Seed: make([]byte, 20), Algorithm: "MD5"},
		{Seed: make([]byte, 20), Digits: 7}, {Seed: make([]byte, 20), Digits: -6}, {Seed: make([]byte, 20), Period: 1}, {Seed: make([]byte, 20), Period: 3600}} {
		if _, err := NewData(k, noon); !fault.Of(err, fault.Invalid) {
			t.Errorf("%+v: %v", k, err)
		}
	}
}

func TestREQ_B20_WhatPeopleTypeIsRead(t *testing.T) {
	for text, want := range map[string]string{
		"123456": "123456", "123 456": "123456", " 123-456\r\n": "123456", "１２３４５６": "123456", "１２３　４５６": "123456",
		"123\u00a0456": "123456", "123\u202f456": "123456", "123–456": "123456", "123−456": "123456", "1 2 3 4 5 6": "123456",
		"12345678": "12345678", "000000": "000000",
		"": "", "     ": "", "12345": "", "1234567": "", "123456789": "", "12345a": "", "123.456": "", "١٢٣٤٥٦": "", "१२३४५६": "",
		"123456\x00": "", "12345O": "", "+123456": "", "\xff123456": "", "123456" + strings.Repeat(" ", 300): "",
	} {
		got, err := readCode(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
		if err != nil {
			wantCode(t, err, "code-format")
		}
	}
	_, err := verify(New(Config{}), noon, "12 34 5x")
	wantCode(t, err, "code-format")
}

func FuzzReadCode(f *testing.F) {
	for _, s := range []string{"123456", "１２３ 456", "12-34-56-78", "\xff", "−–—123456", "123456\u200b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		code, err := readCode(text)
		if err != nil {
			wantCode(t, err, "code-format")
			return
		}
		if len(code) != 6 && len(code) != 8 || strings.Trim(code, "0123456789") != "" {
			t.Fatalf("%q is read as %q", text, code)
		}
		if again, err := readCode(code); err != nil || again != code {
			t.Fatalf("%q is read as %q, %v", code, again, err)
		}
	})
}
