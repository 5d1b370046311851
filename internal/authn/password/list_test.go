package password

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"doorward/internal/authn"
	"doorward/internal/fault"
)

func build(t testing.TB, lines ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	if _, err := BuildList(strings.NewReader(strings.Join(lines, "\n")), &out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func load(t testing.TB, file []byte) *List {
	t.Helper()
	l, err := LoadList(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestREQ_A6_ABreachedPasswordIsRefused(t *testing.T) {
	const known = "Violin-otter-9-basalt"
	sum := sha1.Sum([]byte(known))
	digest := hex.EncodeToString(sum[:])
	for name, line := range map[string]string{
		"plain": known, "sha1": digest, "public collection": strings.ToUpper(digest) + ":37", "windows line": known + "\r",
		"small letters": strings.ToLower(known),
	} {
		l := load(t, build(t, "", line, "something else", ""))
		if l.Len() != 2 {
			t.Errorf("%s: %d in the list", name, l.Len())
		}
		m := newMethod(Config{Blocklist: l})
		if f := fault.As(m.Check("shop", authn.Subject{}, known)); f == nil || f.Code != "password-breached" || f.Field != "password" {
			t.Errorf("%s: %v", name, f)
		}
		if err := m.Check("shop", authn.Subject{}, "violet-otter-9-basalt"); err != nil {
			t.Errorf("%s: another one: %v", name, err)
		}
	}
	if err := newMethod(Config{}).Check("shop", authn.Subject{}, known); err != nil {
		t.Errorf("without a list: %v", err)
	}
}

// Everything in a list is found, whatever its size and the number of its shards; hardly anything else is.
func TestListsOfManySizes(t *testing.T) {
	for _, size := range []int{1, 2, 3, 4, 5, 10, 100, 1000, 40_000, shardKeys + 1} {
		lines := make([]string, 0, 2*size)
		for i := range size {
			lines = append(lines, fmt.Sprintf("password number %d", i))
		}
		rand.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		file := build(t, append(lines, lines[:size/2]...)...)
		rand.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		if !bytes.Equal(file, build(t, lines...)) {
			t.Errorf("size %d: order or repetition changes the file", size)
		}
		l := load(t, file)
		if l.Len() != uint64(size) || size > shardKeys && l.shardBits == 0 {
			t.Errorf("size %d: %d in %d shards", size, l.Len(), len(l.shards))
		}
		for _, line := range lines {
			if !l.Contains(line) {
				t.Fatalf("size %d: %q is not found", size, line)
			}
		}
		wrong := 0
		const others = 100_000
		for i := range others {
			if l.contains(keyOf(fmt.Sprintf("another %d", i))) {
				wrong++
			}
		}
		if wrong > 15 { // 1.5 expected (1 of 65,536)
			t.Errorf("size %d: %d of %d others are taken for one of it", size, wrong, others)
		}
	}
}

func TestBuildListRefuses(t *testing.T) {
	for name, c := range map[string]struct{ in, code string }{
		"nothing":         {"", "list-empty"},
		"empty lines":     {"\n\r\n\n", "list-empty"},
		"an endless line": {"a\nb\n" + strings.Repeat("x", lineMax+1), "list-line-too-long"},
	} {
		var out bytes.Buffer
		_, err := BuildList(strings.NewReader(c.in), &out)
		if f := fault.As(err); f == nil || f.Code != c.code {
			t.Errorf("%s: %v", name, err)
		}
		if out.Len() != 0 {
			t.Errorf("%s: wrote %d bytes", name, out.Len())
		}
	}
	full := errors.New("disk full")
	for _, after := range []int{0, 100} {
		if _, err := BuildList(strings.NewReader("a\nb\n"), &failing{after, full}); !errors.Is(err, full) {
			t.Errorf("a failing disk after %d bytes: %v", after, err)
		}
	}
	if _, err := BuildList(io.MultiReader(strings.NewReader("a\n"), broke{full}), io.Discard); !errors.Is(err, full) {
		t.Errorf("a failing source: %v", err)
	}
}

type failing struct {
	left int
	err  error
}

func (f *failing) Write(b []byte) (int, error) {
	if f.left -= len(b); f.left < 0 {
		return 0, f.err
	}
	return len(b), nil
}

type broke struct{ err error }

func (b broke) Read([]byte) (int, error) { return 0, b.err }

func TestLoadListRefusesDamage(t *testing.T) {
	file := build(t, "one", "two", "three")
	for i := range file {
		damaged := bytes.Clone(file)
		damaged[i] ^= 0x40
		if _, err := LoadList(bytes.NewReader(damaged)); fault.As(err) == nil || fault.As(err).Code != "list-broken" {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		if _, err := LoadList(bytes.NewReader(file[:i])); fault.As(err) == nil || fault.As(err).Code != "list-broken" {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	if _, err := LoadList(bytes.NewReader(append(bytes.Clone(file), 0))); fault.As(err) == nil {
		t.Error("more behind the end is taken")
	}
}

// A file whose numbers claim more than is there, with a right checksum: the loader neither believes nor panics.
func TestLoadListRefusesFalseClaims(t *testing.T) {
	file := build(t, "one", "two", "three")
	body := file[:len(file)-sha256.Size]
	at := len(magic) + 12
	for name, change := range map[string]func([]byte){
		"too many shards":         func(b []byte) { binary.LittleEndian.PutUint32(b[len(magic):], 40) },
		"more shards":             func(b []byte) { binary.LittleEndian.PutUint32(b[len(magic):], 16) },
		"segment not a power":     func(b []byte) { binary.LittleEndian.PutUint32(b[at+8:], 3) },
		"segment too long":        func(b []byte) { binary.LittleEndian.PutUint32(b[at+8:], 1<<30) },
		"no segments":             func(b []byte) { binary.LittleEndian.PutUint32(b[at+12:], 0) },
		"more segments":           func(b []byte) { binary.LittleEndian.PutUint32(b[at+12:], 1<<16) },
		"more fingerprints":       func(b []byte) { binary.LittleEndian.PutUint32(b[at+16:], 1<<31) },
		"fewer fingerprints":      func(b []byte) { binary.LittleEndian.PutUint32(b[at+16:], 4) },
		"no fingerprints":         func(b []byte) { binary.LittleEndian.PutUint32(b[at+16:], 0) },
		"segments that wrap to 0": func(b []byte) { binary.LittleEndian.PutUint32(b[at+12:], 1<<30) },
	} {
		b := bytes.Clone(body)
		change(b)
		sum := sha256.Sum256(b)
		if _, err := LoadList(bytes.NewReader(append(b, sum[:]...))); fault.As(err) == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzLoadList(f *testing.F) {
	file := build(f, "one", "two", "three")
	f.Add(file[:len(file)-sha256.Size])
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, body []byte) {
		sum := sha256.Sum256(body) // so that what is inside is reached at all
		l, err := LoadList(bytes.NewReader(append(bytes.Clone(body), sum[:]...)))
		if err != nil {
			if !fault.Of(err, fault.Invalid) {
				t.Fatal(err)
			}
			return
		}
		for i := range 1000 {
			l.Contains(fmt.Sprint(i))
		}
		l.contains(0)
		l.contains(1<<64 - 1)
	})
}

func FuzzBuildList(f *testing.F) {
	f.Add("one\ntwo\r\n\n7C4A8D09CA3762AF61E59520943DC26494F8941B:9")
	f.Add("\x00\xff\n:\n")
	f.Fuzz(func(t *testing.T, text string) {
		var out bytes.Buffer
		n, err := BuildList(strings.NewReader(text), &out)
		if err != nil {
			if !fault.Of(err, fault.Invalid) {
				t.Fatal(err)
			}
			return
		}
		if l := load(t, out.Bytes()); l.Len() != uint64(n) {
			t.Fatalf("%d and %d", l.Len(), n)
		}
	})
}
