package totp

import (
	"crypto/rand"
	"encoding/hex"
	"math/big"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestSEC_T1_RFC4226AppendixD(t *testing.T) {
	k := Key{Seed: []byte("12345678901234567890")}
	for counter, want := range []string{
		"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489",
	} {
		if got := k.hotp(uint64(counter)); got != want {
			t.Errorf("counter %d: %s, want %s", counter, got, want)
		}
	}
}

func TestSEC_T1_RFC6238AppendixB(t *testing.T) {
	digits := "1234567890123456789012345678901234567890123456789012345678901234"
	keys := map[string]Key{
		"SHA1":   {Seed: []byte(digits[:20]), Algorithm: "SHA1", Digits: 8},
		"SHA256": {Seed: []byte(digits[:32]), Algorithm: "SHA256", Digits: 8},
		"SHA512": {Seed: []byte(digits[:64]), Algorithm: "SHA512", Digits: 8},
	}
	for _, v := range []struct {
		at                   int64
		sha1, sha256, sha512 string
	}{
		{59, "94287082", "46119246", "90693936"},
		{1111111109, "07081804", "68084774", "25091201"},
		{1111111111, "14050471", "67062674", "99943326"},
		{1234567890, "89005924", "91819424", "93441116"},
		{2000000000, "69279037", "90698825", "38618901"},
		{20000000000, "65353130", "77737706", "47863826"},
	} {
		for algorithm, want := range map[string]string{"SHA1": v.sha1, "SHA256": v.sha256, "SHA512": v.sha512} {
			if got := keys[algorithm].Code(time.Unix(v.at, 0)); got != want {
				t.Errorf("%s at %d: %s, want %s", algorithm, v.at, got, want)
			}
		}
	}
}

// An independent program makes the same codes for 100 random keys, 100 steps each.
func TestSEC_T1_OathtoolAgrees(t *testing.T) {
	const keys, steps = 100, 100
	compared := 0
	for n := range keys {
		k := Key{Seed: make([]byte, 16+n%49), Digits: 6 + n%2*2, Period: []int64{30, 60}[n/2%2]}
		rand.Read(k.Seed)
		k.Algorithm = []string{"SHA1", "SHA256", "SHA512"}[n%3]
		start, err := rand.Int(rand.Reader, big.NewInt(4e9))
		if err != nil {
			t.Fatal(err)
		}
		at := time.Unix(start.Int64(), 0).UTC()
		out, err := exec.Command("oathtool", "--totp="+strings.ToLower(k.Algorithm), "-d", strconv.Itoa(k.Digits),
			"-s", strconv.FormatInt(k.Period, 10)+"s", "-N", at.Format("2006-01-02 15:04:05 UTC"),
			"-w", strconv.Itoa(steps-1), hex.EncodeToString(k.Seed)).CombinedOutput()
		if err != nil {
			t.Fatalf("oathtool: %v: %s", err, out)
		}
		for i, want := range strings.Fields(string(out)) {
			moment := at.Add(time.Duration(int64(i)*k.Period) * time.Second)
			if got := k.Code(moment); got != want {
				t.Fatalf("%s, %d digits, %d s, at %v: %s, oathtool says %s", k.Algorithm, k.Digits, k.Period, moment, got, want)
			}
			compared++
		}
	}
	if compared != keys*steps {
		t.Fatalf("compared %d codes, want %d", compared, keys*steps)
	}
}

func TestStepsBeginAtTheEpochAndAreWhole(t *testing.T) {
	k := Key{Seed: make([]byte, 20)}
	for _, c := range []struct {
		at   time.Time
		step int64
		left time.Duration
	}{
		{time.Unix(0, 0), 0, 30 * time.Second},
		{time.Unix(29, 999e6), 0, time.Millisecond},
		{time.Unix(30, 0), 1, 30 * time.Second},
		{time.Unix(59, 0), 1, time.Second},
		{time.Unix(-1, 0), -1, time.Second},
		{time.Unix(-30, 0), -1, 30 * time.Second},
		{time.Unix(-31, 0), -2, time.Second},
	} {
		if k.step(c.at) != c.step || k.left(c.at) != c.left {
			t.Errorf("%v: step %d, left %v; want %d, %v", c.at, k.step(c.at), k.left(c.at), c.step, c.left)
		}
	}
	if k.matches(-1, k.hotp(1<<64-1)) {
		t.Error("a step before 1970 is taken")
	}
}
