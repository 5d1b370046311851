package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"pgregory.net/rapid"

	"doorward/internal/fault"
)

func TestThumbprintVectors(t *testing.T) {
	// RFC 7638 3.1 and RFC 8037 A.3.
	for jwk, want := range map[string]string{
		`{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}`: "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
		`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`: "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
	} {
		var k jose.JSONWebKey
		if err := json.Unmarshal([]byte(jwk), &k); err != nil {
			t.Fatal(err)
		}
		if got, err := thumbprint(k.Key); err != nil || got != want {
			t.Errorf("thumbprint %s %v, want %s", got, err, want)
		}
	}
}

func TestNewKeyOfEveryAlgorithm(t *testing.T) {
	for _, alg := range Algs {
		k := keyOf(t, alg)
		private := privateOf(t, alg)
		if id, err := thumbprint(private.Public()); err != nil || id != k.ID {
			t.Errorf("%s: kid %s is not the thumbprint %s", alg, k.ID, id)
		}
		if r, ok := private.(*rsa.PrivateKey); ok && r.N.BitLen() != 3072 {
			t.Errorf("%s: %d bits", alg, r.N.BitLen())
		}
		if !strings.Contains(fmt.Sprintf("%v %+v %#v %s", signer(t, alg), signer(t, alg), *signer(t, alg), signer(t, alg)), alg) {
			t.Error("a printed key says which it is")
		}
	}
	if _, err := NewKey("shop", "HS256", now); !fault.Of(err, fault.Invalid) {
		t.Errorf("HS256: %v", err)
	}
}

func TestSEC_J3_KeySetPublishesPublicMembersOnly(t *testing.T) {
	set := keySet(t, Algs...)
	var got struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal(set.JWKS(now), &got); err != nil || len(got.Keys) != len(Algs) {
		t.Fatalf("%v, %d keys", err, len(got.Keys))
	}
	allowed := map[string][]string{
		"EC": {"kty", "use", "kid", "alg", "crv", "x", "y"}, "OKP": {"kty", "use", "kid", "alg", "crv", "x"}, "RSA": {"kty", "use", "kid", "alg", "n", "e"},
	}
	for _, k := range got.Keys {
		want := allowed[k["kty"].(string)]
		for name := range k {
			if !slices.Contains(want, name) {
				t.Errorf("%v publishes %q", k["kty"], name)
			}
		}
		if len(k) != len(want) || k["use"] != "sig" {
			t.Errorf("published: %v", k)
		}
	}
	// By content as well: no private number appears in any encoding of the members.
	for _, alg := range Algs {
		var secrets [][]byte
		switch p := privateOf(t, alg).(type) {
		case *ecdsa.PrivateKey:
			d, err := p.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			secrets = append(secrets, d)
		case ed25519.PrivateKey:
			secrets = append(secrets, p.Seed())
		case *rsa.PrivateKey:
			secrets = append(secrets, p.D.Bytes(), p.Primes[0].Bytes(), p.Primes[1].Bytes())
		}
		for _, s := range secrets {
			if len(s) < 32 || strings.Contains(string(set.JWKS(now)), base64.RawURLEncoding.EncodeToString(s)) {
				t.Errorf("%s: the key set holds a private number", alg)
			}
		}
	}
}

// TestSEC_J1_WeakAndHugeKeysFitNothing, also where a key came in by another way than a JWK.
func TestSEC_J1_WeakAndHugeKeysFitNothing(t *testing.T) {
	n := func(bits uint) *big.Int { return new(big.Int).SetBit(big.NewInt(1), int(bits)-1, 1) }
	for name, c := range map[string]struct {
		key  any
		want bool
	}{
		"2048": {&rsa.PublicKey{N: n(2048), E: 65537}, true}, "4096": {&rsa.PublicKey{N: n(4096), E: 65537}, true}, "2047": {&rsa.PublicKey{N: n(2047), E: 65537}, false}, "4097": {&rsa.PublicKey{N: n(4097), E: 65537}, false},
		"exponent 3": {&rsa.PublicKey{N: n(2048), E: 3}, false}, "even exponent": {&rsa.PublicKey{N: n(2048), E: 65538}, false}, "huge exponent": {&rsa.PublicKey{N: n(2048), E: 1<<33 + 1}, false},
		"even modulus": {&rsa.PublicKey{N: new(big.Int).SetBit(new(big.Int), 2047, 1), E: 65537}, false}, "short Ed25519": {ed25519.PublicKey{1}, false}, "a secret": {[]byte("secret"), false}, "nothing": {nil, false},
	} {
		if got := fitsAny(c.key); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestKeySetRefusesRowsThatAreNotWhatTheySay(t *testing.T) {
	es, ed := keyOf(t, ES256), keyOf(t, EdDSA)
	for name, rows := range map[string][]Key{
		"kid of another key": {func() Key { k := es; k.ID = ed.ID; return k }()},
		"another algorithm":  {func() Key { k := es; k.Alg = PS256; return k }()},
		"PS256 as HS256":     {func() Key { k := keyOf(t, PS256); k.Alg = "HS256"; return k }()},
		"none":               {func() Key { k := es; k.Alg = "none"; return k }()},
		"no PKCS#8":          {func() Key { k := es; k.Private = []byte("x"); return k }()},
		"twice":              {es, es},
	} {
		if _, err := NewKeySet(rows); err == nil {
			t.Errorf("%s: loaded", name)
		}
	}
}

func TestSignerIsTheNewestThatMaySign(t *testing.T) {
	row := func(signs, retires, ends time.Time) Key {
		k, err := NewKey("shop", ES256, now)
		if err != nil {
			t.Fatal(err)
		}
		k.Signs, k.Retires, k.Ends = signs, retires, ends
		return k
	}
	h := func(n int) time.Time { return now.Add(time.Duration(n) * time.Hour) }
	old, current, next, idle := row(h(-20), h(-10), h(10)), row(h(-10), h(5), h(8)), row(h(5), time.Time{}, time.Time{}), row(time.Time{}, time.Time{}, time.Time{})
	set, err := NewKeySet([]Key{next, idle, old, current})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		at   time.Time
		want string
		jwks int
	}{
		{h(-15), old.ID, 4}, {h(-10), current.ID, 4}, {now, current.ID, 4}, {h(5).Add(-1), current.ID, 4}, {h(5), next.ID, 4},
		{h(8), next.ID, 3}, {h(10), next.ID, 2}, {h(1000), next.ID, 2},
		{h(-30), old.ID, 4}, // the clock went back behind all of them
	} {
		k, err := set.Signer(ES256, c.at)
		if err != nil || k.ID != c.want {
			t.Errorf("at %v: %v %v, want %s", c.at, k, err, c.want)
		}
		var got jose.JSONWebKeySet
		if err := json.Unmarshal(set.JWKS(c.at), &got); err != nil || len(got.Keys) != c.jwks {
			t.Errorf("at %v: %d keys published, want %d", c.at, len(got.Keys), c.jwks)
		}
	}
	if _, err := set.Signer(EdDSA, now); !fault.Of(err, fault.Unavailable) {
		t.Errorf("no EdDSA key: %v", err)
	}
	if empty, err := NewKeySet(nil); err != nil || string(empty.JWKS(now)) != `{"keys":[]}` {
		t.Errorf("no key: %v %s", err, empty.JWKS(now))
	}
}

// TestSEC_J3_RotationNeverSurprisesACache lives through years: a job that runs at odd times, relying parties that keep
// the set for its whole cache life, tokens that live to their end. No verification may fail and no key may grow old.
func TestSEC_J3_RotationNeverSurprisesACache(t *testing.T) {
	rotated := 0
	rapid.Check(t, func(t *rapid.T) {
		r := Rotation{
			Every:    time.Duration(rapid.IntRange(2, 120).Draw(t, "days")) * 24 * time.Hour,
			CacheTTL: time.Duration(rapid.IntRange(5, 240).Draw(t, "cache minutes")) * time.Minute,
			Longest:  time.Duration(rapid.IntRange(1, 24*60).Draw(t, "token minutes")) * time.Minute,
		}
		algs := []string{ES256, EdDSA}
		clock, end := now, now.Add(3*MaxKeyAge)
		var keys []Key
		var cache struct {
			at  time.Time
			ids []string
		}
		serial := 0
		signerAt := func(alg string, at time.Time) *Key {
			var found *Key
			for i := range keys {
				k := &keys[i]
				if k.Alg == alg && !at.Before(k.Signs) && (k.Retires.IsZero() || at.Before(k.Retires)) && published(*k, at) {
					if found == nil || !k.Signs.Before(found.Signs) {
						found = k
					}
				}
			}
			return found
		}
		for clock.Before(end) {
			p := Plan(keys, algs, clock, r)
			for _, n := range p.Add {
				serial++
				keys = append(keys, Key{ID: fmt.Sprintf("%s-%d", n.Alg, serial), Alg: n.Alg, Created: clock, Signs: n.Signs})
				if first := len(p.Add) == len(algs) && serial <= len(algs); !first && n.Signs.Before(clock.Add(r.CacheTTL)) {
					t.Fatalf("a key would sign %v after it was published", n.Signs.Sub(clock))
				}
				if serial > len(algs) {
					rotated++
				}
			}
			for _, x := range p.Retire {
				for i := range keys {
					if keys[i].ID == x.ID {
						keys[i].Retires, keys[i].Ends = x.Retires, x.Ends
					}
				}
			}
			// A key that was added in this plan has no row yet when its elder retires: asked again, there is nothing to do.
			if again := Plan(keys, algs, clock, r); !again.Nothing() {
				t.Fatalf("a second plan at the same time: %+v", again)
			}
			step := time.Duration(rapid.IntRange(1, 20*60).Draw(t, "minutes until the next job")) * time.Minute
			for probe := clock; probe.Before(clock.Add(step)); probe = probe.Add(max(step/3, time.Minute)) {
				if cache.at.IsZero() || probe.Sub(cache.at) >= r.CacheTTL {
					cache.at, cache.ids = probe, nil
					for _, k := range keys {
						if published(k, probe) {
							cache.ids = append(cache.ids, k.ID)
						}
					}
				}
				for _, alg := range algs {
					k := signerAt(alg, probe)
					if k == nil {
						t.Fatalf("nobody signs %s at %v: %+v", alg, probe, keys)
					}
					if !slices.Contains(cache.ids, k.ID) {
						t.Fatalf("%s signs, and is not in a cache of %v", k.ID, probe.Sub(cache.at))
					}
					if last := probe.Add(r.Longest); !k.Ends.IsZero() && k.Ends.Before(last) {
						t.Fatalf("%s ends before its last token", k.ID)
					}
					if age := probe.Sub(k.Signs); age > MaxKeyAge {
						t.Fatalf("%s has signed for %v", k.ID, age)
					}
				}
			}
			clock = clock.Add(step)
		}
	})
	if rotated < 100 {
		t.Fatalf("%d rotations prove nothing", rotated)
	}
}

func TestPlanSurvivesOddClocks(t *testing.T) {
	r := DefaultRotation
	at := func(d time.Duration) time.Time { return now.Add(d) }
	day := 24 * time.Hour
	one := Key{ID: "one", Alg: ES256, Created: at(-day), Signs: at(-day)}
	far := Key{ID: "far", Alg: ES256, Created: at(1000 * day), Signs: at(1000 * day)}
	if p := Plan([]Key{one, far}, []string{ES256, ES256}, now, r); len(p.Add) != 0 || len(p.Retire) != 1 || p.Retire[0].Retires != far.Signs {
		t.Errorf("a key of a clock that had jumped: %+v", p)
	}
	old := one
	old.Signs = at(-70 * day)
	p := Plan([]Key{old, far}, []string{ES256}, now, r)
	if len(p.Add) != 1 || !p.Add[0].Signs.Equal(at(r.CacheTTL)) || len(p.Retire) != 1 || !p.Retire[0].Retires.Equal(p.Add[0].Signs) {
		t.Errorf("an old key and one of a clock that had jumped: %+v", p)
	}
	// Behind the beginning of everything: one signs already as far as relying parties know; nothing is taken away.
	for _, x := range Plan([]Key{one}, []string{ES256}, at(-10*day), r).Retire {
		if x.Ends.Before(one.Signs) {
			t.Errorf("a key ends because the clock went back: %+v", x)
		}
	}
	// A crash between: the successor is there, its elder was not told.
	next := Key{ID: "next", Alg: ES256, Created: now, Signs: at(2 * day)}
	if p := Plan([]Key{next, one}, []string{ES256}, now, r); len(p.Add) != 0 || len(p.Retire) != 1 || p.Retire[0] != (Retirement{"one", next.Signs, next.Signs.Add(r.Longest + 2*Skew)}) {
		t.Errorf("a successor without retirement: %+v", p)
	}
	if p := Plan(nil, nil, now, r); !p.Nothing() {
		t.Errorf("no algorithm: %+v", p)
	}
}

// verifiedByHand checks a signature with nothing but the standard library and the numbers of the published key.
func verifiedByHand(t *testing.T, jwks []byte, raw string) bool {
	t.Helper()
	parts := strings.Split(raw, ".")
	var head struct{ Alg, Kid string }
	b, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil || json.Unmarshal(b, &head) != nil {
		t.Fatal("header", err)
	}
	var set struct {
		Keys []struct{ Kid, Kty, X, Y, N, E string }
	}
	if err := json.Unmarshal(jwks, &set); err != nil {
		t.Fatal(err)
	}
	num := func(s string) *big.Int {
		b, _ := base64.RawURLEncoding.DecodeString(s)
		return new(big.Int).SetBytes(b)
	}
	sig, _ := base64.RawURLEncoding.DecodeString(parts[2])
	input := []byte(parts[0] + "." + parts[1])
	sum := sha256.Sum256(input)
	for _, k := range set.Keys {
		if k.Kid != head.Kid {
			continue
		}
		switch head.Alg {
		case ES256:
			point := append([]byte{4}, append(num(k.X).FillBytes(make([]byte, 32)), num(k.Y).FillBytes(make([]byte, 32))...)...)
			der, err := x509.ParsePKIXPublicKey(append(spkiP256(), point...))
			if err != nil {
				t.Fatal(err)
			}
			return len(sig) == 64 && ecdsa.Verify(der.(*ecdsa.PublicKey), sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
		case EdDSA:
			return ed25519.Verify(num(k.X).FillBytes(make([]byte, 32)), input, sig)
		case PS256:
			return rsa.VerifyPSS(&rsa.PublicKey{N: num(k.N), E: int(num(k.E).Int64())}, crypto.SHA256, sum[:], sig, &rsa.PSSOptions{SaltLength: 32}) == nil
		case RS256:
			return rsa.VerifyPKCS1v15(&rsa.PublicKey{N: num(k.N), E: int(num(k.E).Int64())}, crypto.SHA256, sum[:], sig) == nil
		}
	}
	return false
}

// spkiP256 is what stands before the point in a SubjectPublicKeyInfo of P-256.
func spkiP256() []byte {
	return []byte{0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00}
}

// TestSignaturesHoldElsewhere gives what we sign to go-jose, to bare arithmetic and, for RSA and ECDSA, to openssl.
func TestSignaturesHoldElsewhere(t *testing.T) {
	set := keySet(t, Algs...)
	var jwks jose.JSONWebKeySet
	if err := json.Unmarshal(set.JWKS(now), &jwks); err != nil {
		t.Fatal(err)
	}
	for _, alg := range Algs {
		raw, err := signer(t, alg).SignAccessToken(sampleAccess())
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
		if err != nil {
			t.Fatal(alg, err)
		}
		if _, err := parsed.Verify(jwks); err != nil {
			t.Errorf("%s: go-jose: %v", alg, err)
		}
		if !verifiedByHand(t, set.JWKS(now), raw) {
			t.Errorf("%s: by hand: refused", alg)
		}
		if out, err := openssl(t, alg, raw); err != nil {
			t.Errorf("%s: openssl: %v %s", alg, err, out)
		}
		broken := []byte(raw)
		broken[len(broken)-20] ^= 1
		if verifiedByHand(t, set.JWKS(now), string(broken)) {
			t.Errorf("%s: by hand: a broken signature holds, this test proves nothing", alg)
		}
		if _, err := openssl(t, alg, string(broken)); err == nil {
			t.Errorf("%s: openssl: a broken signature holds, this test proves nothing", alg)
		}
	}
}

func openssl(t *testing.T, alg, raw string) ([]byte, error) {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	der, err := x509.MarshalPKIXPublicKey(privateOf(t, alg).Public())
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(raw, ".")
	sig, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return nil, err
	}
	if alg == ES256 { // openssl wants ASN.1
		r, s := new(big.Int).SetBytes(sig[:32]).Bytes(), new(big.Int).SetBytes(sig[32:]).Bytes()
		integer := func(b []byte) []byte {
			if b[0] >= 0x80 {
				b = append([]byte{0}, b...)
			}
			return append([]byte{2, byte(len(b))}, b...)
		}
		body := append(integer(r), integer(s)...)
		sig = append([]byte{0x30, byte(len(body))}, body...)
	}
	key := write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	input, signature := write("input", []byte(parts[0]+"."+parts[1])), write("sig", sig)
	args := []string{"dgst", "-sha256", "-verify", key, "-signature", signature}
	switch alg {
	case PS256:
		args = append(args, "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32", "-sigopt", "rsa_mgf1_md:sha256")
	case EdDSA:
		args = []string{"pkeyutl", "-verify", "-pubin", "-inkey", key, "-rawin", "-sigfile", signature, "-in"}
	}
	return exec.Command("openssl", append(args, input)...).CombinedOutput()
}
