package token

import (
	"bytes"
	"compress/flate"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// The corpus of what must not be taken for signed, run against every reader of tokens: our own access tokens and ID
// tokens, assertions and request objects of clients, and proofs.

// reader is one place where a token is believed.
type reader struct {
	name   string
	alg    string
	header m
	claims m
	key    any
	read   func(raw string) error
}

func readers(t testing.TB) []reader {
	t.Helper()
	var out []reader
	for _, alg := range []string{ES256, EdDSA, PS256} {
		key := privateOf(t, alg)
		set := keySet(t, Algs...)
		kid := keyOf(t, alg).ID
		var access, id m
		if json.Unmarshal([]byte(jsonOf(t, sampleAccess())), &access) != nil || json.Unmarshal([]byte(jsonOf(t, sampleID())), &id) != nil {
			t.Fatal("the samples do not read")
		}
		clients := clientKeys(t, Algs...)
		iat, exp := now.Unix(), now.Add(time.Minute).Unix()
		out = append(out,
			reader{"access token", alg, m{"alg": alg, "kid": kid, "typ": "at+jwt"}, access, key, func(raw string) error {
				_, err := set.VerifyAccessToken(raw, issuer, now)
				return err
			}},
			reader{"id_token_hint", alg, m{"alg": alg, "kid": kid, "typ": "JWT"}, id, key, func(raw string) error {
				_, err := set.VerifyIDTokenHint(raw, issuer, now)
				return err
			}},
			reader{"client assertion", alg, m{"alg": alg, "kid": "c-" + alg, "typ": "JWT"}, m{"iss": "shop", "sub": "shop", "aud": issuer, "exp": exp, "iat": iat, "jti": "j"}, key, func(raw string) error {
				_, err := VerifyAssertion(raw, AssertionRules{Client: "shop", Issuer: issuer, TokenEndpoint: endpoint, Keys: clients, Now: now})
				return err
			}},
			reader{"request object", alg, m{"alg": alg, "kid": "c-" + alg, "typ": "oauth-authz-req+jwt"}, m{"iss": "shop", "client_id": "shop", "aud": issuer, "exp": exp, "nbf": iat, "scope": "openid"}, key, func(raw string) error {
				_, err := ReadRequestObject(raw, Params{}, RequestObjectRules{Client: "shop", Issuer: issuer, Keys: clients, Now: now})
				return err
			}},
			reader{"DPoP proof", alg, m{"alg": alg, "typ": "dpop+jwt", "jwk": publicJWK(t, key.Public(), "", "")}, m{"jti": "j", "htm": "POST", "htu": endpoint, "iat": iat}, key, func(raw string) error {
				_, err := VerifyProof(raw, ProofRules{Method: "POST", URL: endpoint, Now: now})
				return err
			}},
		)
	}
	return out
}

func TestEveryReaderTakesWhatIsRight(t *testing.T) {
	for _, r := range readers(t) {
		raw := forge(t, r.alg, r.key, r.header, r.claims)
		if err := r.read(raw); err != nil {
			t.Errorf("%s %s: %v", r.name, r.alg, err)
		}
		// Members nobody knows, and a header with what we ignore, change nothing (RFC 7515 4).
		odd := clone(r.header, "jku", "https://evil.example/keys", "x5u", "https://evil.example/x", "x5c", []string{"not even base64"}, "odd", m{"a": 1})
		if r.name != "DPoP proof" {
			odd["jwk"] = m{"kty": "oct", "k": "AAAA"}
		}
		if err := r.read(forge(t, r.alg, r.key, odd, clone(r.claims, "odd", []any{m{"a": 1}}))); err != nil {
			t.Errorf("%s %s with members nobody knows: %v", r.name, r.alg, err)
		}
	}
}

// TestSEC_J1_NothingForgedIsTaken is the corpus.
func TestSEC_J1_NothingForgedIsTaken(t *testing.T) {
	tried := 0
	for _, r := range readers(t) {
		good := forge(t, r.alg, r.key, r.header, r.claims)
		parts := strings.Split(good, ".")
		try := func(name, raw string) {
			t.Helper()
			tried++
			if raw == good {
				t.Fatalf("%s %s: %s is the good token", r.name, r.alg, name)
			}
			if err := r.read(raw); err == nil {
				t.Errorf("%s %s: %s was taken", r.name, r.alg, name)
			}
		}
		public := privateOf(t, r.alg).Public()

		// Algorithm confusion (Keycloak CVE-2026-11800): the public key as a shared secret, in every spelling of it.
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		jwk, err := json.Marshal(jose.JSONWebKey{Key: public})
		if err != nil {
			t.Fatal(err)
		}
		block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		for i, secret := range [][]byte{der, block, bytes.TrimSpace(block), jwk, {}, []byte("secret")} {
			for _, alg := range []string{"HS256", "hs256", "HS384", "HS512"} {
				try(fmt.Sprintf("%s with public key %d", alg, i), forge(t, "HS256", secret, clone(r.header, "alg", alg), r.claims))
			}
		}

		// none, in every case and with every signature.
		for _, alg := range []any{"none", "None", "NONE", "nOnE", "", nil, "ES256 ", " ES256", "es256", "ES512", "ES256K", "RS1", "HS256", "PBES2-HS256+A128KW", "dir", "RSA1_5", 1, true, []string{r.alg}, m{"alg": r.alg}} {
			head := encode(clone(r.header, "alg", alg))
			for i, sig := range []string{"", parts[2], "AA", "e30"} {
				try(fmt.Sprintf("alg %v signature %d", alg, i), head+"."+parts[1]+"."+sig)
			}
		}

		// Another algorithm than the key's, signed by a key that has it.
		for _, alg := range Algs {
			if alg == r.alg {
				continue
			}
			try("signed as "+alg+" under the kid of "+r.alg, forge(t, alg, privateOf(t, alg), clone(r.header, "alg", alg), r.claims))
			try("signed as "+alg+" and said "+r.alg, forge(t, alg, privateOf(t, alg), r.header, r.claims))
		}

		// A key that comes along.
		own := freshEC(t)
		mine := publicJWK(t, own.Public(), "", "")
		for name, header := range map[string]m{
			"own key, kid kept":     clone(r.header, "alg", ES256),
			"own key in jwk":        clone(r.header, "alg", ES256, "kid", nil, "jwk", clone(mine, "kid", r.header["kid"])),
			"own key behind jku":    clone(r.header, "alg", ES256, "jku", "https://evil.example/jwks"),
			"own key in jwk by kid": clone(r.header, "alg", ES256, "jwk", clone(mine, "kid", r.header["kid"])),
		} {
			if r.name == "DPoP proof" && header["jwk"] != nil && strings.Contains(name, "jwk") {
				continue // there a key of one's own is what is wanted
			}
			try(name, forge(t, ES256, own, header, r.claims))
		}

		// kid: paths, SQL, other cases, other types, nothing.
		if r.name != "DPoP proof" {
			kid := r.header["kid"].(string)
			for _, bad := range []any{
				"../../../../dev/null", "/etc/passwd", "' OR 1=1 --", kid + "\x00", kid + "/", " " + kid, kid + " ", kid[:len(kid)-1], kid + "A", swapCase(kid), "%2e%2e/" + kid,
				strings.Repeat("k", 5000), 7, m{"kid": kid}, []string{kid}, true,
			} {
				try(fmt.Sprintf("kid %.20v", bad), forge(t, r.alg, r.key, clone(r.header, "kid", bad), r.claims))
			}
		}

		// Headers that change how to read.
		for name, v := range map[string]any{
			"crit": []string{"exp"}, "zip": "DEF", "b64": false, "enc": "A256GCM", "p2c": 1 << 30, "p2s": "AAAA", "epk": m{}, "iv": "AAAA",
		} {
			try(name, forge(t, r.alg, r.key, clone(r.header, name, v), r.claims))
		}
		try("crit b64", forge(t, r.alg, r.key, clone(r.header, "crit", []string{"b64"}, "b64", true), r.claims))
		try("empty crit", forge(t, r.alg, r.key, clone(r.header, "crit", []string{}), r.claims))

		// A compressed body and one that would blow up (go-jose CVE-2024-28180).
		var packed bytes.Buffer
		w, err := flate.NewWriter(&packed, flate.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, 1<<20)); err != nil || w.Close() != nil {
			t.Fatal(err)
		}
		try("deflated", forge(t, r.alg, r.key, r.header, packed.Bytes()))

		// Members twice, in the header and in the body, plainly, escaped, in another case, deep inside.
		head, body := jsonOf(t, r.header), jsonOf(t, r.claims)
		for name, first := range map[string]string{"twice": `"%s":%s`, "twice, escaped": `"\u00%x%s":%s`} {
			for _, member := range []string{"alg", "typ"} {
				v := jsonOf(t, r.header[member])
				dup := fmt.Sprintf(first, member, v)
				if strings.Contains(first, "u00") {
					dup = fmt.Sprintf(first, member[0], member[1:], v)
				}
				try(member+" "+name, forge(t, r.alg, r.key, "{"+dup+","+head[1:], r.claims))
			}
			for member, value := range r.claims {
				dup := fmt.Sprintf(first, member, jsonOf(t, value))
				if strings.Contains(first, "u00") {
					dup = fmt.Sprintf(first, member[0], member[1:], jsonOf(t, value))
				}
				try(member+" "+name, forge(t, r.alg, r.key, r.header, "{"+dup+","+body[1:]))
				try(member+" last "+name, forge(t, r.alg, r.key, r.header, body[:len(body)-1]+","+dup+"}"))
			}
		}
		for member, value := range r.claims {
			try(member+" in capitals as well", forge(t, r.alg, r.key, r.header, fmt.Sprintf(`{"%s":%s,%s`, strings.ToUpper(member), jsonOf(t, value), body[1:])))
		}
		try("twice, deep", forge(t, r.alg, r.key, r.header, `{"x":[{"a":1,"a":2}],`+body[1:]))
		try("bad UTF-8", forge(t, r.alg, r.key, r.header, "{\"x\":\"\xff\","+body[1:]))
		try("two documents", forge(t, r.alg, r.key, r.header, body+body))
		try("an array", forge(t, r.alg, r.key, r.header, "["+body+"]"))
		try("null", forge(t, r.alg, r.key, r.header, "null"))
		try("a string", forge(t, r.alg, r.key, r.header, `"x"`))
		try("nothing", forge(t, r.alg, r.key, r.header, ""))
		try("deep", forge(t, r.alg, r.key, r.header, `{"x":`+strings.Repeat("[", 500)+strings.Repeat("]", 500)+","+body[1:]))
		many := strings.Builder{}
		for i := range 100 {
			fmt.Fprintf(&many, `"x%d":1,`, i)
		}
		try("a hundred members", forge(t, r.alg, r.key, r.header, "{"+many.String()+body[1:]))

		// Another typ.
		for _, typ := range []any{"at+jwt", "JWT", "logout+jwt", "dpop+jwt", "token-introspection+jwt", "forward-auth+jwt", "secevent+jwt", "at+jwt ", "x", 1, "oauth-authz-req+jwt", ""} {
			same := typ == r.header["typ"] || (r.name == "client assertion" || r.name == "request object") && (typ == "" || typ == "JWT")
			if !same {
				try(fmt.Sprintf("typ %v", typ), forge(t, r.alg, r.key, clone(r.header, "typ", typ), r.claims))
			}
		}

		// Spelling (Zitadel CVE-2026-27840): every other way to write the same bytes, and every near miss.
		for name, raw := range spellings(good) {
			try(name, raw)
		}
		try("huge", good+strings.Repeat("A", MaxSize))
		try("huge body", forge(t, r.alg, r.key, r.header, clone(r.claims, "x", strings.Repeat("y", MaxSize))))
		try("JSON form", `{"payload":"`+parts[1]+`","protected":"`+parts[0]+`","signature":"`+parts[2]+`"}`)
		try("five parts", good+"."+parts[0]+"."+parts[1])
		try("dots", strings.Repeat(".", 8000))

		// Signatures that are none.
		n := len(rawSign(t, r.alg, r.key, "x"))
		for name, sig := range map[string][]byte{
			"zeros": make([]byte, n), "ones": bytes.Repeat([]byte{0xff}, n), "short": make([]byte, n-1), "long": make([]byte, n+1), "one byte": {0}, "twice as long": make([]byte, 2*n),
			"signature of another input": rawSign(t, r.alg, r.key, parts[0]+"."+parts[0]),
		} {
			try("signature: "+name, parts[0]+"."+parts[1]+"."+encode(sig))
		}
		if r.alg == ES256 { // CVE-2022-21449: r = s = 0; s = n; r and s in ASN.1
			curve, zero := own.Params().N.Bytes(), make([]byte, 32)
			try("r = 0, s = n", parts[0]+"."+parts[1]+"."+encode(append(append([]byte{}, zero...), curve...)))
			try("r = n, s = n", parts[0]+"."+parts[1]+"."+encode(append(append([]byte{}, curve...), curve...)))
			try("r = n, s = 0", parts[0]+"."+parts[1]+"."+encode(append(append([]byte{}, curve...), zero...)))
			one := append(make([]byte, 31), 1)
			try("r = 1, s = 1", parts[0]+"."+parts[1]+"."+encode(append(append([]byte{}, one...), one...)))
		}
	}
	if tried < 2000 {
		t.Fatalf("%d forgeries prove nothing", tried)
	}
	t.Logf("%d forgeries", tried)
}

func jsonOf(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 32
		case r >= 'A' && r <= 'Z':
			return r + 32
		}
		return r
	}, s)
}

// spellings are other ways to write a token, none of which may be taken (SEC J-2).
func spellings(good string) map[string]string {
	p := strings.Split(good, ".")
	out := map[string]string{
		"truncated by 1": good[:len(good)-1], "truncated by half": good[:len(good)/2], "extended": good + "A", "extended by =": good + "=", "extended by a dot": good + ".",
		"swapped case": swapCase(good), "upper case": strings.ToUpper(good), "space before": " " + good, "space behind": good + " ", "line end behind": good + "\n",
		"line end inside": good[:30] + "\n" + good[30:], "CR LF inside": good[:30] + "\r\n" + good[30:], "NUL": good + "\x00", "quoted": `"` + good + `"`,
		"Bearer": "Bearer " + good, "no header": "." + p[1] + "." + p[2], "no body": p[0] + ".." + p[2], "no signature": p[0] + "." + p[1] + ".", "two parts": p[0] + "." + p[1],
		"one part": p[0], "empty": "", "comma": good + "," + good, "BOM": "\ufeff" + good,
	}
	for i, name := range []string{"header", "body", "signature"} {
		q := append([]string{}, p...)
		q[i] = p[i] + strings.Repeat("=", (4-len(p[i])%4)%4)
		if q[i] != p[i] {
			out["padded "+name] = strings.Join(q, ".")
		}
		if s := strings.NewReplacer("-", "+", "_", "/").Replace(p[i]); s != p[i] {
			q[i] = s
			out["standard base64 "+name] = strings.Join(q, ".")
		}
		// The last letter has bits that say nothing: another letter decodes to the same bytes in a lax decoder.
		const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		if rest := len(p[i]) % 4; rest != 0 {
			at := strings.IndexByte(letters, p[i][len(p[i])-1])
			q[i] = p[i][:len(p[i])-1] + string(letters[at^1])
			out["spare bit of "+name] = strings.Join(q, ".")
		}
		for at := 0; at < len(p[i]); at += 1 + len(p[i])/7 {
			c := byte('A')
			if p[i][at] == c {
				c = 'B'
			}
			q[i] = p[i][:at] + string(c) + p[i][at+1:]
			out[fmt.Sprintf("%s letter %d", name, at)] = strings.Join(q, ".")
		}
	}
	return out
}

// TestSEC_O15_TokensNeverPassForOneAnother puts every token we sign, and every one that clients sign, before every reader.
func TestSEC_O15_TokensNeverPassForOneAnother(t *testing.T) {
	k := signer(t, ES256)
	must := func(raw string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	life := func(d time.Duration) (int64, int64) { return now.Unix(), now.Add(d).Unix() }
	iat, exp := life(time.Minute)
	tokens := map[string]string{
		"access token":  must(k.SignAccessToken(sampleAccess())),
		"id_token_hint": must(k.SignIDToken(sampleID())),
		"logout token":  must(k.SignLogoutToken(LogoutToken{Issuer: issuer, Subject: "shop", Audience: Audience{issuer}, Issued: iat, Expires: exp, ID: "j", Session: "s"})),
		"userinfo":      must(k.SignUserinfo(issuer, "shop", Userinfo{Subject: "shop"})),
		"introspection": must(k.SignIntrospection(issuer, "shop", now, Introspect(sampleAccess()))),
		"forward-auth":  must(k.SignForward(Forward{Issuer: issuer, Subject: "p", Audience: Audience{"shop"}, Issued: iat, Expires: exp})),
	}
	all := readers(t)
	for _, r := range all {
		if r.alg == ES256 && tokens[r.name] == "" {
			tokens[r.name] = forge(t, r.alg, r.key, r.header, r.claims)
		}
	}
	pairs := 0
	for _, r := range all {
		if r.alg != ES256 {
			continue
		}
		for name, raw := range tokens {
			pairs++
			if err := r.read(raw); (err == nil) != (name == r.name) {
				t.Errorf("a reader of %s and a token that is %s: %v", r.name, name, err)
			}
		}
	}
	if pairs != 5*9 {
		t.Fatalf("%d pairs", pairs)
	}
}
