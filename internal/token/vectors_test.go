package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" // for signatures that must not be taken
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"math/big"
	"strings"
	"testing"
)

// Signatures that some library takes and the algorithm's standard does not, in the manner of the Wycheproof vectors: made by
// whoever has the key, so that nothing but the form is wrong.
func TestSEC_J1_SignaturesOfAnotherForm(t *testing.T) {
	for _, r := range readers(t) {
		parts := strings.Split(forge(t, r.alg, r.key, r.header, r.claims), ".")
		input := parts[0] + "." + parts[1]
		sum, wide := sha256.Sum256([]byte(input)), sha512.Sum512([]byte(input))
		bad := map[string][]byte{}
		must := func(name string, sig []byte, err error) {
			t.Helper()
			if err != nil {
				t.Fatal(name, err)
			}
			bad[name] = sig
		}
		switch key := r.key.(type) {
		case *rsa.PrivateKey:
			for name, salt := range map[string]int{"no salt": 0, "a salt of 20": 20, "a salt of 64": 64, "the longest salt": rsa.PSSSaltLengthAuto} {
				sig, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: salt})
				must("PSS with "+name, sig, err)
			}
			sig, err := rsa.SignPSS(rand.Reader, key, crypto.SHA512, wide[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
			must("PSS of SHA-512", sig, err)
			sig, err = rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
			must("PKCS#1 v1.5", sig, err)
			sig, err = rsa.SignPKCS1v15(nil, key, 0, sum[:])
			must("PKCS#1 v1.5 without the name of the hash", sig, err)
			sig, err = rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
			must("a zero in front", append([]byte{0}, sig...), err)
			more := new(big.Int).Add(new(big.Int).SetBytes(sig), key.N)
			must("with the modulus added", more.Bytes(), nil)
			must("one", append(make([]byte, key.Size()-1), 1), nil)
			must("the modulus less one", new(big.Int).Sub(key.N, big.NewInt(1)).Bytes(), nil)
		case *ecdsa.PrivateKey:
			n := key.Params().N
			for name, hash := range map[string][]byte{"SHA-512": wide[:], "SHA-512 cut": wide[:32], "the input itself": []byte(input)[:32], "nothing": make([]byte, 32)} {
				x, s, err := ecdsa.Sign(rand.Reader, key, hash)
				must("of "+name, append(x.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), err)
			}
			x, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
			if err != nil {
				t.Fatal(err)
			}
			pair := func(a, b *big.Int, size int) []byte {
				return append(a.FillBytes(make([]byte, size)), b.FillBytes(make([]byte, size))...)
			}
			must("33 bytes each", pair(x, s, 33), nil)
			must("s and r", pair(s, x, 32), nil)
			must("s = 0", pair(x, new(big.Int), 32), nil)
			must("r = 0", pair(new(big.Int), s, 32), nil)
			must("r = n", pair(n, s, 32), nil)
			must("s = n", pair(x, n, 32), nil)
			must("r + n", new(big.Int).Add(x, n).FillBytes(make([]byte, 64)), nil)
			asn1, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
			must("ASN.1", asn1, err)
		case ed25519.PrivateKey:
			sig := ed25519.Sign(key, []byte(input))
			order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
			s := make([]byte, 32) // S + L: the same signature in another spelling (RFC 8032 5.1.7)
			for i, b := range sig[32:] {
				s[31-i] = b
			}
			sum := new(big.Int).Add(new(big.Int).SetBytes(s), order).FillBytes(make([]byte, 33))
			if sum[0] == 0 {
				long := append([]byte{}, sig[:32]...)
				for i := range 32 {
					long = append(long, sum[32-i])
				}
				must("S + L", long, nil)
			}
			for name, point := range map[string]string{"0": strings.Repeat("00", 32), "1": "01" + strings.Repeat("00", 31), "-1": "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "p + 1": "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"} {
				small, err := hex.DecodeString(point)
				must("R = "+name+", S = 0", append(small, make([]byte, 32)...), err)
				must("R = "+name, append(append([]byte{}, small...), sig[32:]...), err)
			}
			pre, err := key.Sign(nil, wide[:], &ed25519.Options{Hash: crypto.SHA512})
			must("Ed25519ph", pre, err)
			ctx, err := key.Sign(nil, []byte(input), &ed25519.Options{Context: "JWS"})
			must("Ed25519ctx", ctx, err)
		}
		if len(bad) < 8 {
			t.Fatalf("%s: %d forms prove nothing", r.alg, len(bad))
		}
		for name, sig := range bad {
			if err := r.read(input + "." + encode(sig)); err == nil {
				t.Errorf("%s %s: %s was taken", r.name, r.alg, name)
			}
		}
	}
}
