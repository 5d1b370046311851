package pki

import (
	"bytes"
	"testing"
)

func TestSEC_C10_ARootsKeyInSeveralHands(t *testing.T) {
	key, root := bytes.Repeat([]byte("secret key "), 20), []byte("a root")
	for n := 1; n <= SharesMost; n++ {
		shares, err := Split(key, root, n)
		if err != nil || len(shares) != n {
			t.Fatal(n, err)
		}
		got, err := Join(shares, root)
		if err != nil || !bytes.Equal(got, key) {
			t.Errorf("%d hands: %v", n, err)
		}
		if n == 1 {
			continue
		}
		for i, s := range shares {
			if bytes.Contains(s, []byte("secret")) {
				t.Errorf("share %d of %d shows the key", i+1, n)
			}
			without := append(append([][]byte{}, shares[:i]...), shares[i+1:]...)
			if got, err := Join(without, root); err == nil || got != nil {
				t.Errorf("%d of %d are enough", n-1, n)
			}
			if _, err := Join(append(without, without[0]), root); err == nil {
				t.Error("one was given twice")
			}
		}
		shares[0], shares[n-1] = shares[n-1], shares[0]
		if got, err := Join(shares, root); err != nil || !bytes.Equal(got, key) {
			t.Errorf("in another order: %v", err)
		}
		if _, err := Join(shares, []byte("another root")); err == nil {
			t.Error("shares of another root")
		}
		other, _ := Split(key, root, n)
		if got, err := Join(append([][]byte{other[0]}, shares[1:]...), root); err == nil && bytes.Equal(got, key) {
			t.Error("shares of two ceremonies are one key")
		}
		broken := bytes.Clone(shares[0])
		i := bytes.LastIndex(broken, []byte("\n-----END"))
		broken[i-3] ^= 1
		if _, err := Join(append([][]byte{broken}, shares[1:]...), root); err == nil {
			t.Error("a damaged share")
		}
	}
	for _, n := range []int{0, -1, SharesMost + 1} {
		if _, err := Split(key, root, n); err == nil {
			t.Errorf("%d hands", n)
		}
	}
	if _, err := Join(nil, root); err == nil {
		t.Error("no share at all")
	}
	if _, err := Join([][]byte{[]byte("hello")}, root); err == nil {
		t.Error("no key")
	}
}
