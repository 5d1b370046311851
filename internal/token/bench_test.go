package token

import (
	"encoding/json"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// The floor of signing is the signature itself; what we add around it is the difference to Signature.

func BenchmarkSign(b *testing.B) {
	for _, alg := range Algs {
		k := signer(b, alg)
		claims := sampleAccess()
		b.Run(alg+"/access", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.SignAccessToken(claims); err != nil {
					b.Fatal(err)
				}
			}
		})
		input := []byte("x")
		b.Run(alg+"/floor", func(b *testing.B) {
			for b.Loop() {
				if _, err := k.signature(input); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	k := signer(b, ES256)
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: k.signer, KeyID: k.ID}}, (&jose.SignerOptions{}).WithType("at+jwt"))
	if err != nil {
		b.Fatal(err)
	}
	claims := sampleAccess()
	b.Run("ES256/go-jose", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			body, err := json.Marshal(claims)
			if err != nil {
				b.Fatal(err)
			}
			obj, err := s.Sign(body)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := obj.CompactSerialize(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	for _, alg := range Algs {
		set := keySet(b, alg)
		raw, err := signer(b, alg).SignAccessToken(sampleAccess())
		if err != nil {
			b.Fatal(err)
		}
		e, err := open(raw)
		if err != nil {
			b.Fatal(err)
		}
		key, _ := set.verifier(e.Kid, now)
		b.Run(alg+"/access", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := set.VerifyAccessToken(raw, issuer, now); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(alg+"/floor", func(b *testing.B) {
			for b.Loop() {
				if !e.verify(key) {
					b.Fatal("refused")
				}
			}
		})
	}
	key := privateOf(b, ES256)
	proof := forge(b, ES256, key, m{"alg": ES256, "typ": "dpop+jwt", "jwk": publicJWK(b, key.Public(), "", "")}, m{"jti": "j", "htm": "POST", "htu": endpoint, "iat": now.Unix()})
	b.Run("DPoP", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := VerifyProof(proof, ProofRules{Method: "POST", URL: endpoint, Now: now}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkJWKS(b *testing.B) {
	set := keySet(b, ES256, EdDSA)
	for b.Loop() {
		if len(set.JWKS(now)) == 0 {
			b.Fatal("empty")
		}
	}
}

func BenchmarkCheckRequest(b *testing.B) {
	rp, p := shop(), goodParams()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := CheckRequest(p, rp, Channel{}); err != nil {
			b.Fatal(err)
		}
	}
}
