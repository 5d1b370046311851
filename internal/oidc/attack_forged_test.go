package oidc_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"doorward/internal/rig"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

type members = map[string]any

// b64 is a part of a compact JWS: bytes and texts as they are, everything else as JSON.
func b64(t *testing.T, v any) string {
	t.Helper()
	switch v := v.(type) {
	case []byte:
		return base64.RawURLEncoding.EncodeToString(v)
	case string:
		return base64.RawURLEncoding.EncodeToString([]byte(v))
	}
	return base64.RawURLEncoding.EncodeToString([]byte(jsonOf(t, v)))
}

// es256 signs by hand, so that header and body can be anything.
func es256(t *testing.T, key *ecdsa.PrivateKey, header, body any) string {
	t.Helper()
	input := b64(t, header) + "." + b64(t, body)
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return input + "." + b64(t, sig)
}

func with(m members, pairs ...any) members {
	out := maps.Clone(m)
	for i := 0; i < len(pairs); i += 2 {
		if out[pairs[i].(string)] = pairs[i+1]; pairs[i+1] == nil {
			delete(out, pairs[i].(string))
		}
	}
	return out
}

// forgeries are what must not be taken for a token with this header and these claims. key is the one that signs the real
// one: most of them are forged by somebody who has it, so that nothing but the one thing is wrong.
func forgeries(t *testing.T, key *ecdsa.PrivateKey, header, claims members) map[string]string {
	t.Helper()
	own := newECKey(t)
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	jwk := func(k *ecdsa.PrivateKey) (out members) {
		if err := json.Unmarshal([]byte(jsonOf(t, jose.JSONWebKey{Key: k.Public(), KeyID: fmt.Sprint(header["kid"])})), &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	hs256 := func(secret []byte, header members) string {
		input := b64(t, header) + "." + b64(t, claims)
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(input))
		return input + "." + b64(t, mac.Sum(nil))
	}
	good := es256(t, key, header, claims)
	parts := strings.Split(good, ".")
	head, body := jsonOf(t, header), jsonOf(t, claims)
	out := map[string]string{
		"HS256 by the key in DER":  hs256(der, with(header, "alg", "HS256")),
		"HS256 by the key in PEM":  hs256(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), with(header, "alg", "HS256")),
		"HS256 by the key as JWK":  hs256([]byte(jsonOf(t, jwk(key))), with(header, "alg", "HS256")),
		"HS256 by the secret":      hs256([]byte(storeSecret), with(header, "alg", "HS256")),
		"HS256 said to be ES256":   hs256(der, header),
		"none":                     b64(t, with(header, "alg", "none")) + "." + parts[1] + ".",
		"none, signed":             b64(t, with(header, "alg", "none")) + "." + parts[1] + "." + parts[2],
		"nOnE":                     b64(t, with(header, "alg", "nOnE")) + "." + parts[1] + ".",
		"no alg":                   es256(t, key, with(header, "alg", nil), claims),
		"another alg":              es256(t, key, with(header, "alg", "EdDSA"), claims),
		"ES384":                    es256(t, key, with(header, "alg", "ES384"), claims),
		"crit":                     es256(t, key, with(header, "crit", []string{"exp"}), claims),
		"b64":                      es256(t, key, with(header, "b64", false, "crit", []string{"b64"}), claims),
		"zip":                      es256(t, key, with(header, "zip", "DEF"), claims),
		"enc":                      es256(t, key, with(header, "enc", "A256GCM"), claims),
		"p2c":                      es256(t, key, with(header, "p2c", 1<<30), claims),
		"alg twice":                es256(t, key, `{"alg":"none",`+head[1:], claims),
		"typ twice":                es256(t, key, `{"typ":"x",`+head[1:], claims),
		"ALG too":                  es256(t, key, `{"ALG":"none",`+head[1:], claims),
		"typ of an encrypted one":  es256(t, key, with(header, "typ", "JWE"), claims),
		"typ of a number":          es256(t, key, with(header, "typ", 1), claims),
		"nested":                   es256(t, key, with(header, "cty", "JWT"), good),
		"claims in an array":       es256(t, key, header, "["+body+"]"),
		"claims twice":             es256(t, key, header, body+body),
		"no claims":                es256(t, key, header, "{}"),
		"null":                     es256(t, key, header, "null"),
		"a NUL behind":             es256(t, key, header, body+"\x00"),
		"bad UTF-8":                es256(t, key, header, "{\"x\":\"\xff\","+body[1:]),
		"deep":                     es256(t, key, header, `{"x":`+strings.Repeat("[", 2000)+strings.Repeat("]", 2000)+","+body[1:]),
		"huge":                     es256(t, key, header, with(claims, "x", strings.Repeat("y", 9<<10))),
		"signed by another":        es256(t, own, header, claims),
		"unsigned":                 parts[0] + "." + parts[1] + ".",
		"zero":                     parts[0] + "." + parts[1] + "." + b64(t, make([]byte, 64)),
		"r = s = 1":                parts[0] + "." + parts[1] + "." + b64(t, append(append(make([]byte, 31), 1), append(make([]byte, 31), 1)...)),
		"r = s = n":                parts[0] + "." + parts[1] + "." + b64(t, bytes.Repeat(key.Params().N.Bytes(), 2)),
		"66 bytes":                 parts[0] + "." + parts[1] + "." + b64(t, make([]byte, 66)),
		"another body":             parts[0] + "." + b64(t, with(claims, "x", 1)) + "." + parts[2],
		"another header":           b64(t, with(header, "x", 1)) + "." + parts[1] + "." + parts[2],
		"padding":                  good + "==",
		"a line end":               parts[0] + "." + parts[1][:5] + "\n" + parts[1][5:] + "." + parts[2],
		"four parts":               good + ".",
		"five parts":               good + "." + parts[0] + "." + parts[1],
		"JSON":                     `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		"a JWK set by address":     es256(t, own, with(header, "jku", "https://evil.example/jwks"), claims),
		"a chain by address":       es256(t, own, with(header, "x5u", "https://evil.example/chain"), claims),
		"a chain that comes along": es256(t, own, with(header, "x5c", []string{base64.StdEncoding.EncodeToString(der)}), claims),
	}
	asn1, err := ecdsa.SignASN1(rand.Reader, key, sha(parts[0]+"."+parts[1]))
	if err != nil {
		t.Fatal(err)
	}
	out["ASN.1"] = parts[0] + "." + parts[1] + "." + b64(t, asn1)
	for name := range claims {
		v := jsonOf(t, claims[name])
		out[name+" twice"] = es256(t, key, header, `{"`+name+`":`+v+`,`+body[1:])
		out[name+" in capitals too"] = es256(t, key, header, `{"`+strings.ToUpper(name)+`":`+v+`,`+body[1:])
	}
	if header["kid"] != nil {
		kid := header["kid"].(string)
		for _, bad := range []any{"../../../dev/null", "/dev/null", "' OR '1'='1", kid + "\x00", kid + " ", strings.ToUpper(kid) + "x", kid[:len(kid)-1], 7, members{}, []string{kid}, strings.Repeat("k", 300)} {
			out[fmt.Sprintf("kid %.20v", bad)] = es256(t, key, with(header, "kid", bad), claims)
		}
		out["a key that comes along"] = es256(t, own, with(header, "jwk", jwk(own)), claims)
		out["a key that comes along, without kid"] = es256(t, own, with(header, "jwk", jwk(own), "kid", nil), claims)
		out["signed by RSA"] = rs256(t, with(header, "alg", "RS256"), claims)
	} else {
		out["a private key that comes along"] = es256(t, key, with(header, "jwk", with(jwk(key), "d", b64(t, "x"))), claims)
		out["a shared key that comes along"] = hs256([]byte("k"), with(header, "alg", "HS256", "jwk", members{"kty": "oct", "k": "aw"}))
		out["no key"] = es256(t, key, with(header, "jwk", nil), claims)
		out["a point off the curve"] = es256(t, key, with(header, "jwk", with(jwk(key), "x", b64(t, make([]byte, 32)), "y", b64(t, make([]byte, 32)))), claims)
	}
	return out
}

func sha(s string) []byte { sum := sha256.Sum256([]byte(s)); return sum[:] }

func rs256(t *testing.T, header, claims members) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: fmt.Sprint(header["kid"])}}, (&jose.SignerOptions{}).WithType(jose.ContentType(fmt.Sprint(header["typ"]))))
	if err != nil {
		t.Fatal(err)
	}
	return sign(t, signer, claims)
}

// wrongs are claims by which a token that is signed rightly is none all the same, by kind.
func wrongs(kind string, now int64) map[string]members {
	out := map[string]members{
		"expired":         {"exp": now - 120},
		"of the future":   {"iat": now + 3600, "nbf": now + 3600},
		"exp as a text":   {"exp": fmt.Sprint(now + 60)},
		"iat as a text":   {"iat": fmt.Sprint(now)},
		"exp of infinity": {"exp": json.RawMessage("1e400")},
		"exp negative":    {"exp": -1},
	}
	switch kind {
	case "access token":
		maps.Copy(out, map[string]members{
			"another issuer": {"iss": "https://evil.example"}, "no issuer": {"iss": nil}, "issuer with a slash": {"iss": rig.Origin + "/"}, "no sub": {"sub": nil}, "no exp": {"exp": nil}, "no aud": {"aud": nil}, "empty aud": {"aud": []string{}},
			"for a year": {"exp": now + 365*86400}, "no client": {"client_id": nil}, "another client": {"client_id": "complaints"}, "an unknown client": {"client_id": "nobody"}, "no jti": {"jti": nil},
			"another authorization": {"grant_id": "01900000-0000-7000-8000-000000000000"}, "no authorization": {"grant_id": nil},
		})
	case "ID token": // may have expired
		delete(out, "expired")
		maps.Copy(out, map[string]members{
			"another issuer": {"iss": "https://evil.example"}, "no issuer": {"iss": nil}, "no sub": {"sub": nil}, "somebody else": {"sub": "01900000-0000-7000-8000-000000000000", "sid": "01900000-0000-7000-8000-000000000000"},
			"no aud": {"aud": nil}, "no exp": {"exp": nil}, "no iat": {"iat": nil},
		})
	case "client assertion":
		maps.Copy(out, map[string]members{
			"another issuer": {"iss": "store"}, "another subject": {"sub": "store"}, "both another's": {"iss": "store", "sub": "store"}, "no sub": {"sub": nil}, "no iss": {"iss": nil}, "no aud": {"aud": nil}, "an array": {"aud": []string{rig.Origin}},
			"for another": {"aud": "https://evil.example"}, "the address of pushing": {"aud": rig.Origin + "/oauth2/par"}, "issuer with a slash": {"aud": rig.Origin + "/"}, "no exp": {"exp": nil}, "for an hour": {"exp": now + 3600}, "no jti": {"jti": nil}, "empty jti": {"jti": ""}, "a number as jti": {"jti": 1},
		})
	case "request object":
		maps.Copy(out, map[string]members{
			"another issuer": {"iss": "store"}, "another client": {"client_id": "store"}, "no iss": {"iss": nil}, "no aud": {"aud": nil}, "for another": {"aud": "https://evil.example"}, "an assertion too": {"sub": "warehouse"},
			"another in it": {"request": "x"}, "by reference": {"request_uri": "https://evil.example/object"}, "another address": {"redirect_uri": "https://evil.example/"}, "an array as address": {"redirect_uri": []string{"https://warehouse.example/cb"}},
		})
	case "DPoP proof":
		delete(out, "expired")
		delete(out, "of the future")
		delete(out, "exp as a text")
		maps.Copy(out, map[string]members{
			"old": {"iat": now - 61}, "of the future": {"iat": now + 11}, "no iat": {"iat": nil}, "no jti": {"jti": nil}, "no htm": {"htm": nil}, "another method": {"htm": "GET"}, "the method in small letters": {"htm": "post"},
			"no htu": {"htu": nil}, "another address": {"htu": rig.Origin + "/oauth2/par"}, "another host": {"htu": "https://evil.example/oauth2/token"}, "http": {"htu": "http://" + rig.Host + "/oauth2/token"}, "a user name": {"htu": "https://x@" + rig.Host + "/oauth2/token"},
		})
	}
	return out
}

// Nothing forged is taken at any endpoint that reads what is signed, and nothing is changed by it (SEC J-1).
func TestSEC_J1_NothingForgedAtAnyEndpoint(t *testing.T) {
	signer, change := warehouse(t)
	testdb.EachAddress(t, func(t *testing.T, dsn string) {
		d := newDrawer(t, testdb.Open(t, dsn), dsn, signer, change)
		d.itself() // so that there are keys
		ours := map[string]*ecdsa.PrivateKey{}
		d.Read(func(tx *sqlstore.Tx) error {
			rows, err := tx.Keys("shop")
			for _, row := range rows {
				if k, err := x509.ParsePKCS8PrivateKey(row.Private); err == nil {
					if k, ok := k.(*ecdsa.PrivateKey); ok {
						ours[row.ID] = k
					}
				}
			}
			return err
		})
		slots, tried := d.slots(), 0
		for _, kind := range []string{"access token", "ID token", "client assertion", "request object", "DPoP proof"} {
			secret := d.kinds()[kind]()
			var header, claims members
			for i, into := range []*members{&header, &claims} {
				b, err := base64.RawURLEncoding.DecodeString(strings.Split(secret, ".")[i])
				if err == nil {
					err = json.Unmarshal(b, into)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			for _, name := range []string{"exp", "iat", "nbf", "auth_time"} { // as they are written, not 1.7e9
				if v, ok := claims[name].(float64); ok {
					claims[name] = int64(v)
				}
			}
			key := map[string]*ecdsa.PrivateKey{"client assertion": signer.(*keyed).private, "request object": signer.(*keyed).private, "DPoP proof": d.pocket.key.(*keyed).private}[kind]
			if key == nil {
				key = ours[header["kid"].(string)]
			}
			all := forgeries(t, key, header, claims)
			for name, change := range wrongs(kind, d.Clock.Now().Unix()) {
				other := maps.Clone(claims)
				for k, v := range change {
					if other[k] = v; v == nil {
						delete(other, k)
					}
				}
				if raw, ok := other["exp"].(json.RawMessage); ok {
					all[name] = es256(t, key, header, strings.Replace(jsonOf(t, with(other, "exp", "EXP")), `"EXP"`, string(raw), 1))
					continue
				}
				all[name] = es256(t, key, header, other)
			}
			before := d.rows()
			for _, s := range slots {
				if !slices.Contains(s.takes, kind) {
					continue
				}
				for name, forged := range all {
					if strings.Contains(name, "line end") && (s.name == "a bearer" || s.name == "the DPoP header") {
						continue // no header holds one
					}
					tried++
					if a := s.try(forged); s.taken(a) || a.StatusCode >= 500 {
						t.Errorf("%s, %s: a %s, %s: %d %s %.200s", s.path, s.name, kind, name, a.StatusCode, a.Header.Get("Location"), a.body)
					}
				}
			}
			unchanged(t, before, d.rows())
			for i, s := range slots { // signed in the same way, the right one is taken: the forger can sign
				if slices.Contains(s.takes, kind) && s.path != "/oauth2/logout" {
					right := es256(t, key, header, claims)
					if kind == "client assertion" || kind == "DPoP proof" {
						right = es256(t, key, header, with(claims, "jti", fmt.Sprint("right ", i)))
					}
					if a := s.try(right); !s.taken(a) {
						t.Errorf("%s, %s: the right %s is not taken: %d %.300s", s.path, s.name, kind, a.StatusCode, a.body)
					}
					if s.path == "/oauth2/revoke" {
						break // ended now
					}
				}
			}
		}
		if tried < 900 {
			t.Errorf("%d forgeries prove little", tried)
		}
		t.Logf("%d forgeries", tried)
	})
}
