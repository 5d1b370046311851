package secret

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"doorward/internal/fault"

	"pgregory.net/rapid"
)

func newRing(t testing.TB) *Ring {
	t.Helper()
	r, err := NewRing()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSEC_X2_SealedValuesOpenInTheirPlaceOnly(t *testing.T) {
	r := newRing(t)
	// Neighbors that a joined string would confuse stand beside plain ones.
	var places []Place
	for _, table := range []string{"credential", "credentialdata", "c", ""} {
		for _, column := range []string{"data", "d", "", "data1"} {
			for _, row := range []string{"1", "11", "", "ata1"} {
				places = append(places, Place{table, column, row})
			}
		}
	}
	sealed := make([][]byte, len(places))
	for i, p := range places {
		var err error
		if sealed[i], err = r.Seal(p, []byte("seed of "+p.String())); err != nil {
			t.Fatal(err)
		}
	}
	opened := 0
	for i, p := range places {
		for j := range sealed {
			plain, err := r.Open(p, sealed[j])
			if i == j {
				if err != nil || string(plain) != "seed of "+p.String() {
					t.Fatalf("%s: %q, %v", p, plain, err)
				}
				opened++
			} else if !errors.Is(err, ErrSealed) || plain != nil {
				t.Fatalf("value of %s opened as %s: %q, %v", places[j], p, plain, err)
			}
		}
	}
	if opened != 64 {
		t.Fatalf("%d values opened in their own place", opened)
	}
}

func TestSEC_X2_AnyChangedByteIsSeen(t *testing.T) {
	r, p := newRing(t), Place{"credential", "data", "1"}
	sealed, err := r.Seal(p, []byte("seed"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := r.Open(p, bad); !errors.Is(err, ErrSealed) && !errors.Is(err, ErrNoKey) {
			t.Errorf("byte %d changed: %v", i, err)
		}
		if _, err := r.Open(p, sealed[:i]); !errors.Is(err, ErrSealed) {
			t.Errorf("cut to %d bytes: %v", i, err)
		}
	}
	if _, err := r.Open(p, append(bytes.Clone(sealed), 0)); !errors.Is(err, ErrSealed) {
		t.Errorf("a byte more: %v", err)
	}
}

func TestSEC_X6_EqualPlaintextsSealDifferently(t *testing.T) {
	r, p, seen := newRing(t), Place{"a", "b", "c"}, map[string]bool{}
	for range 200 {
		v, err := r.Seal(p, []byte("same"))
		if err != nil {
			t.Fatal(err)
		}
		if seen[string(v[headLen:headLen+saltLen])] || seen[string(v[headLen+saltLen:])] {
			t.Fatal("a salt or a ciphertext came twice")
		}
		seen[string(v[headLen:headLen+saltLen])], seen[string(v[headLen+saltLen:])] = true, true
	}
}

func TestSEC_X3_RotationKeepsOldValuesAndLookUps(t *testing.T) {
	r, p := newRing(t), Place{"credential", "data", "1"}
	hash, pepper, signer := r.Hash("invite", "s"), r.Pepper([]byte("s")), r.Signer("audit")
	var values [][]byte
	for i := range 5 {
		v, err := r.Seal(p, []byte{byte(i)})
		if err != nil {
			t.Fatal(err)
		}
		if r.Stale(v) {
			t.Error("a new value is stale")
		}
		values = append(values, v)
		if err := r.Rotate(); err != nil {
			t.Fatal(err)
		}
		if !r.Stale(v) {
			t.Error("a value of an older key is not stale")
		}
	}
	for i, v := range values {
		if plain, err := r.Open(p, v); err != nil || !bytes.Equal(plain, []byte{byte(i)}) {
			t.Errorf("value %d after rotation: %v, %v", i, plain, err)
		}
	}
	if !bytes.Equal(hash, r.Hash("invite", "s")) || !bytes.Equal(pepper, r.Pepper([]byte("s"))) || !signer.Equal(r.Signer("audit")) {
		t.Error("rotation changed a fixed output")
	}
	if len(r.Keys()) != 6 {
		t.Errorf("keys: %v", r.Keys())
	}
}

func TestHashesHaveTheirOwnDomain(t *testing.T) {
	r, other := newRing(t), newRing(t)
	outs := map[string]string{}
	put := func(name string, b []byte) {
		t.Helper()
		if len(b) != 32 {
			t.Errorf("%s: %d bytes", name, len(b))
		}
		if was, ok := outs[string(b)]; ok {
			t.Errorf("%s equals %s", name, was)
		}
		outs[string(b)] = name
	}
	put("invite", r.Hash("invite", "secret"))
	put("mail", r.Hash("mail", "secret"))
	put("none", r.Hash("", "secret"))
	put("shifted", r.Hash("invites", "ecret"))
	put("pepper", r.Pepper([]byte("secret")))
	put("other ring", other.Hash("invite", "secret"))
	put("other pepper", other.Pepper([]byte("secret")))
	put("signer", r.Signer("invite").Seed())
	put("signer 2", r.Signer("mail").Seed())

	key := r.Signer("audit")
	if !ed25519.Verify(key.Public().(ed25519.PublicKey), []byte("m"), ed25519.Sign(key, []byte("m"))) {
		t.Error("the signer does not sign")
	}
}

func TestRingFileRoundTrip(t *testing.T) {
	r, p := newRing(t), Place{"a", "b", "c"}
	if err := r.Rotate(); err != nil {
		t.Fatal(err)
	}
	v, err := r.Seal(p, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ring")
	if err := r.SaveNew(path); err != nil {
		t.Fatal(err)
	}
	back, err := LoadRing(path)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := back.Open(p, v); err != nil || string(plain) != "x" {
		t.Errorf("%q, %v", plain, err)
	}
	if !bytes.Equal(r.Hash("p", "s"), back.Hash("p", "s")) || !slices.Equal(r.Keys(), back.Keys()) {
		t.Error("the ring changed on its way")
	}

	if err := newRing(t).SaveNew(path); !fault.Of(err, fault.Exists) {
		t.Errorf("a first ring over another: %v", err)
	}
	if err := back.Rotate(); err != nil {
		t.Fatal(err)
	}
	if err := back.Save(path); err != nil {
		t.Fatal(err)
	}
	again, err := LoadRing(path)
	if err != nil || len(again.Keys()) != 3 {
		t.Errorf("after saving a rotated ring: %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("files left behind: %v, %v", left, err)
	}
}

func TestSEC_X3_ARingOpenToOthersIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ring")
	if err := newRing(t).SaveNew(path); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("written with %v, %v", info.Mode(), err)
	}
	for mode := range os.FileMode(0o1000) {
		if mode&0o400 == 0 {
			continue
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := LoadRing(path)
		if closed := mode&0o077 == 0; closed != (err == nil) || !closed && !errors.Is(err, fault.New(fault.Forbidden, "ring-open-to-others")) {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	if _, err := LoadRing(filepath.Dir(path)); !fault.Of(err, fault.Invalid) {
		t.Errorf("a directory: %v", err)
	}
	if _, err := LoadRing(path + "x"); !fault.Of(err, fault.NotFound) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestReadRingRefusesDamage(t *testing.T) {
	var b bytes.Buffer
	if _, err := newRing(t).WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	good := b.String()
	lines := strings.SplitAfter(good, "\n")
	resum := func(body string) string { return body + endLine([]byte(body)) }
	cases := map[string]string{
		"empty": "", "head only": ringHead, "trailing line": good + "x", "no sealing key": resum(lines[0] + lines[1]),
		"no fixed key": resum(lines[0] + lines[2]), "twice the same id": resum(lines[0] + lines[1] + lines[2] + lines[2]),
		"upper-case id": resum(lines[0] + lines[1] + strings.Replace(lines[2], lines[2][:13], strings.ToUpper("seal abcdef00"), 1)),
		"short key":     resum(lines[0] + lines[1] + "seal 00000000 AAAA\n"), "blank line": resum(lines[0] + lines[1] + "\n" + lines[2]),
		"too long": strings.Repeat(good, 1000), "newer version": strings.Replace(good, "ring 1", "ring 2", 1),
	}
	for i := range len(good) {
		cases[fmt.Sprintf("cut at %d", i)] = good[:i]
		cases[fmt.Sprintf("byte %d changed", i)] = good[:i] + string(good[i]^1) + good[i+1:]
	}
	for name, text := range cases {
		if r, err := ReadRing(strings.NewReader(text)); !errors.Is(err, fault.New(fault.Invalid, "ring-broken")) || r != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadRing(strings.NewReader(good)); err != nil {
		t.Errorf("the good one: %v", err)
	}
}

func TestSEC_G3_ARingDoesNotPrint(t *testing.T) {
	r := newRing(t)
	var b bytes.Buffer
	if _, err := r.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	slog.New(slog.NewJSONHandler(&b, nil)).Info("m", "ring", r)
	logged := b.String()[strings.LastIndex(b.String(), "{"):]
	js, err := json.Marshal(struct{ R *Ring }{r})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{fmt.Sprint(r), fmt.Sprintf("%#v", r), fmt.Sprintf("%+v", struct{ R *Ring }{r}), fmt.Sprintf("%x", r), string(js), logged} {
		if !strings.Contains(s, redacted) || strings.Contains(s, b64.EncodeToString(r.fixed)) || strings.Contains(s, fmt.Sprint(r.fixed)) {
			t.Errorf("printed %s", s)
		}
	}
}

func TestRingIsSafeForConcurrentUse(t *testing.T) {
	r := newRing(t)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			p := Place{"t", "c", fmt.Sprint(i)}
			if i%8 == 0 {
				if err := r.Rotate(); err != nil {
					t.Error(err)
				}
			}
			v, err := r.Seal(p, []byte("x"))
			if err != nil {
				t.Error(err)
			}
			if plain, err := r.Open(p, v); err != nil || string(plain) != "x" {
				t.Errorf("%q, %v", plain, err)
			}
		})
	}
	wg.Wait()
	if len(r.Keys()) != 9 {
		t.Errorf("%d keys after 8 rotations", len(r.Keys()))
	}
}

func TestSealProperty(t *testing.T) {
	r := newRing(t)
	rapid.Check(t, func(t *rapid.T) {
		p := Place{rapid.String().Draw(t, "table"), rapid.String().Draw(t, "column"), rapid.String().Draw(t, "row")}
		q := Place{rapid.String().Draw(t, "table 2"), rapid.String().Draw(t, "column 2"), rapid.String().Draw(t, "row 2")}
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		v, err := r.Seal(p, plain)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := r.Open(p, v); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("%v, %v", got, err)
		}
		if _, err := r.Open(q, v); (err == nil) != (p == q) {
			t.Fatalf("opened elsewhere: %v", err)
		}
	})
}

func FuzzReadRing(f *testing.F) {
	var b bytes.Buffer
	if _, err := newRing(f).WriteTo(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte(ringHead))
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := ReadRing(bytes.NewReader(in))
		if err != nil {
			return
		}
		var out bytes.Buffer
		if _, err := r.WriteTo(&out); err != nil || !bytes.Equal(out.Bytes(), in) {
			t.Errorf("a ring that is read is written differently: %v\n%s", err, &out)
		}
	})
}

func FuzzOpen(f *testing.F) {
	r, p := newRing(f), Place{"t", "c", "r"}
	good, err := r.Seal(p, []byte("plain"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:sealedMin])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, in []byte) {
		plain, err := r.Open(p, in)
		r.Stale(in)
		if (err == nil) != bytes.Equal(in, good) {
			t.Errorf("opened %x: %q, %v", in, plain, err)
		}
	})
}
