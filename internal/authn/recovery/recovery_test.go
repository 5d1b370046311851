package recovery_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/authn/recovery"
	"doorward/internal/fault"
)

var (
	now    = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	ctx    = context.Background()
	method = recovery.New(func(purpose, text string) []byte {
		h := sha256.Sum256([]byte(purpose + "\x00" + text))
		return h[:]
	})
)

func flow(person string) authn.Flow {
	return authn.Flow{ID: "f", Realm: "shop", Person: person, Now: now}
}

// sheet makes and keeps codes for a person.
func sheet(t *testing.T, person string) (authn.Credential, recovery.Sheet) {
	t.Helper()
	f := flow(person)
	q, err := method.Offer(ctx, f, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, ok := recovery.Read(q)
	if !ok {
		t.Fatal("the question holds no sheet")
	}
	f.Open = q
	shown, err := method.Enrol(ctx, f, nil, authn.Answer{Kind: authn.Recovery, Text: s.Mark, Confirm: "yes"})
	if err != nil {
		t.Fatal(err)
	}
	c := shown.Credential
	c.ID = "c-" + person
	return c, s
}

func code(t *testing.T, err error, want string) {
	t.Helper()
	if f := fault.As(err); f == nil || f.Code != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}

func TestSEC_H4_TenCodesOfEightyBits(t *testing.T) {
	c, s := sheet(t, "p1")
	seen := map[string]bool{}
	for _, one := range s.Codes {
		bare := strings.ReplaceAll(one, "-", "")
		if len(bare)*5 < 64 || strings.Trim(bare, "0123456789ABCDEFGHJKMNPQRSTVWXYZ") != "" {
			t.Errorf("%s has %d letters", one, len(bare))
		}
		if strings.Contains(string(c.Data), one) || strings.Contains(string(c.Data), bare) {
			t.Error("a code stands in what is stored")
		}
		seen[one] = true
	}
	if left, of := recovery.Left(c); len(seen) != 10 || left != 10 || of != 10 {
		t.Errorf("%d codes, %d of %d left", len(seen), left, of)
	}
	_, other := sheet(t, "p1")
	if other.Codes[0] == s.Codes[0] || other.Mark == s.Mark {
		t.Error("two sheets are the same")
	}
}

func TestSEC_H4_ACodeWorksOnce(t *testing.T) {
	c, s := sheet(t, "p1")
	verify := func(text string) (authn.Shown, error) {
		return method.Verify(ctx, flow("p1"), []authn.Credential{c}, authn.Answer{Kind: authn.Recovery, Text: text})
	}
	for i, one := range s.Codes {
		typed := strings.ToLower(strings.ReplaceAll(one, "-", " "))
		shown, err := verify(typed)
		if err != nil || !shown.Changed || shown.Left != 9-i {
			t.Fatalf("code %d: %+v, %v", i, shown, err)
		}
		c = shown.Credential
		if i < 9 {
			_, err = verify(one)
			code(t, err, "recovery-used")
			if !errors.Is(err, authn.ErrRejected) {
				t.Error("a used code is no rejection")
			}
		}
	}
	for _, one := range []string{s.Codes[3], "0000-0000-0000-0000"} {
		_, err := verify(one)
		code(t, err, "recovery-none")
	}
}

func TestSEC_H4_OfNobodyElse(t *testing.T) {
	c, s := sheet(t, "p1")
	answer := authn.Answer{Kind: authn.Recovery, Text: s.Codes[0]}
	_, err := method.Verify(ctx, flow("p2"), nil, answer)
	code(t, err, "recovery-wrong")
	moved := c
	moved.Person = "p2" // the row of one person under the id of another
	_, err = method.Verify(ctx, flow("p2"), []authn.Credential{moved}, answer)
	code(t, err, "recovery-wrong")
	asleep := c
	asleep.State = authn.Suspended
	_, err = method.Verify(ctx, flow("p1"), []authn.Credential{asleep}, answer)
	code(t, err, "recovery-wrong")
	for _, text := range []string{"", "7K2M", s.Codes[0] + "0", "ÄÖÜ-" + s.Codes[0], strings.Repeat("A", 5000)} {
		_, err = method.Verify(ctx, flow("p1"), []authn.Credential{c}, authn.Answer{Text: text})
		code(t, err, "recovery-format")
	}
	broken := c
	broken.Data = []byte("{")
	if _, err = method.Verify(ctx, flow("p1"), []authn.Credential{broken}, answer); err == nil || errors.Is(err, authn.ErrRejected) {
		t.Errorf("damaged data: %v", err)
	}
}

func TestSEC_H4_AFlowTakesOne(t *testing.T) {
	c, s := sheet(t, "p1")
	f := flow("p1")
	f.Evidence = []authn.Evidence{{Kind: authn.Recovery, Credential: c.ID, At: now.Add(-time.Hour)}}
	_, err := method.Verify(ctx, f, []authn.Credential{c}, authn.Answer{Text: s.Codes[1]})
	code(t, err, "recovery-once")
}

func TestSEC_H4_OnlyWhatIsKeptCounts(t *testing.T) {
	f := flow("p1")
	q, err := method.Offer(ctx, f, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := recovery.Read(q)
	f.Open = q
	_, err = method.Enrol(ctx, f, nil, authn.Answer{Text: s.Mark})
	code(t, err, "recovery-not-kept")
	for _, mark := range []string{"", "another"} {
		_, err = method.Enrol(ctx, f, nil, authn.Answer{Text: mark, Confirm: "yes"})
		code(t, err, "recovery-other")
	}
	late := f
	late.Now = now.Add(30 * time.Minute)
	shown, err := method.Enrol(ctx, late, nil, authn.Answer{Text: s.Mark, Confirm: "yes"})
	code(t, err, "recovery-other")
	if shown.Question == nil || shown.Credential.Data != nil {
		t.Fatalf("%+v", shown)
	}
	if again, ok := recovery.Read(*shown.Question); !ok || again.Mark == s.Mark || again.Codes[0] == s.Codes[0] {
		t.Error("no fresh sheet")
	}
}
