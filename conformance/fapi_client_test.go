package conformance

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func TestFAPI_CodeAgain(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		a := f.ask(f.me)
		code := f.code(a)
		status, got := f.token(f.me, f.grant(f.me, a, code))
		t := f.tokens(a, status, got)
		f.wait(time.Second)
		status, got = f.token(f.me, f.grant(f.me, a, code))
		f.no(status, got, "invalid_grant")
		if status := f.use(t.access, f.me); status != http.StatusUnauthorized {
			f.Errorf("the access token works on: %d", status)
		}
	}))
}

func TestFAPI_CodeExpired(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		a := f.ask(f.me)
		code := f.code(a)
		f.wait(65 * time.Second)
		status, got := f.token(f.me, f.grant(f.me, a, code))
		f.no(status, got, "invalid_grant")
	}))
}

func TestFAPI_AssertionRS256(t *testing.T) {
	each(t, inVariants(withKey, func(f *fapi) {
		if f.me.id != parties.all[0].id && f.me.v.auth != "private_key_jwt" {
			f.Fatal("no key")
		}
		a := f.ask(f.me)
		form := f.grant(f.me, a, f.code(a))
		claims := map[string]any{"iss": f.me.id, "sub": f.me.id, "aud": f.s.issuer, "iat": f.now(), "exp": f.now() + 60, "jti": random(22)}
		form.Set("client_assertion", f.write(parties.rsa, jose.RS256, map[string]any{"kid": "rsa"}, claims))
		status, got := f.token(f.me, form)
		f.no(status, got, "invalid_client")
		form.Set("client_assertion", f.write(parties.rsa, jose.PS256, map[string]any{"kid": "rsa"}, change(claims, "jti", random(22))))
		status, got = f.token(f.me, form)
		f.tokens(a, status, got) // the key is not the reason
	}))
}

func TestFAPI_AssertionMissing(t *testing.T) {
	each(t, inVariants(withKey, func(f *fapi) {
		a := f.ask(f.me)
		form := f.grant(f.me, a, f.code(a))
		form.Del("client_assertion")
		form.Del("client_assertion_type")
		status, got := f.token(f.me, form)
		f.no(status, got, "invalid_client", "invalid_request")
	}))
}

func TestFAPI_AssertionExpired(t *testing.T) {
	each(t, inVariants(withKey, func(f *fapi) {
		a := f.ask(f.me)
		status, got := f.token(f.me, f.grant(f.me, a, f.code(a), "exp", f.now()-300, "iat", f.now()-360))
		f.no(status, got, "invalid_client")
	}))
}

func TestFAPI_AssertionWrongAudience(t *testing.T) {
	each(t, inVariants(withKey, func(f *fapi) {
		a := f.ask(f.me)
		status, got := f.token(f.me, f.grant(f.me, a, f.code(a), "aud", "https://other.example"))
		f.no(status, got, "invalid_client")
	}))
}

func TestFAPI_AssertionWithoutSub(t *testing.T) {
	each(t, inVariants(withKey, func(f *fapi) {
		a := f.ask(f.me)
		status, got := f.token(f.me, f.grant(f.me, a, f.code(a), "sub", nil))
		f.no(status, got, "invalid_client", "invalid_request")
	}))
}

func TestFAPI_ProofsThatAreNone(t *testing.T) {
	each(t, inVariants(withDPoP, func(f *fapi) {
		t := f.signIn(f.ask(f.me))
		address := f.at("userinfo_endpoint")
		once := f.proof(f.me.proof, "GET", address, t.access)
		if status := f.use(t.access, f.me, once); status != http.StatusOK {
			f.Errorf("a good proof: %d", status)
		}
		sum := sha256.Sum256([]byte("another"))
		raw := func(header, claims map[string]any, cut bool) func(*http.Request) {
			h := sha256.Sum256([]byte(t.access))
			for k, v := range map[string]any{"jti": random(22), "htm": "GET", "htu": address, "iat": f.now(), "ath": base64.RawURLEncoding.EncodeToString(h[:])} {
				if _, set := claims[k]; !set {
					claims[k] = v
				}
			}
			p := f.write(f.me.proof, jose.ES256, header, claims)
			if cut {
				p = p[:len(p)-6] + "AAAAAA"
			}
			return func(r *http.Request) { r.Header.Set("DPoP", p) }
		}
		public, private := jose.JSONWebKey{Key: f.me.proof.Public()}, jose.JSONWebKey{Key: f.me.proof}
		for what, edit := range map[string]func(*http.Request){
			"used before":       once,
			"no proof":          func(r *http.Request) { r.Header.Del("DPoP") },
			"two proofs":        func(r *http.Request) { r.Header.Add("DPoP", r.Header.Get("DPoP")) },
			"as Bearer":         func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+t.access) },
			"Bearer, no proof":  func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+t.access); r.Header.Del("DPoP") },
			"another key":       f.proof(f.other.proof, "GET", address, t.access),
			"no jti":            f.proof(f.me.proof, "GET", address, t.access, "jti", nil),
			"no htm":            f.proof(f.me.proof, "GET", address, t.access, "htm", nil),
			"no htu":            f.proof(f.me.proof, "GET", address, t.access, "htu", nil),
			"no iat":            f.proof(f.me.proof, "GET", address, t.access, "iat", nil),
			"no ath":            f.proof(f.me.proof, "GET", address, ""),
			"PUT":               f.proof(f.me.proof, "PUT", address, t.access),
			"another address":   f.proof(f.me.proof, "GET", "https://other.example/userinfo", t.access),
			"an hour old":       f.proof(f.me.proof, "GET", address, t.access, "iat", f.now()-3600),
			"an hour ahead":     f.proof(f.me.proof, "GET", address, t.access, "iat", f.now()+3600),
			"another ath":       f.proof(f.me.proof, "GET", address, t.access, "ath", base64.RawURLEncoding.EncodeToString(sum[:])),
			"no typ":            raw(map[string]any{"jwk": public}, map[string]any{}, false),
			"another typ":       raw(map[string]any{"typ": "JWT", "jwk": public}, map[string]any{}, false),
			"no jwk":            raw(map[string]any{"typ": "dpop+jwt"}, map[string]any{}, false),
			"a private jwk":     raw(map[string]any{"typ": "dpop+jwt", "jwk": private}, map[string]any{}, false),
			"another signature": raw(map[string]any{"typ": "dpop+jwt", "jwk": public}, map[string]any{}, true),
		} {
			if status := f.use(t.access, f.me, edit); status != http.StatusUnauthorized && status != http.StatusBadRequest {
				f.Errorf("%s: %d", what, status)
			}
		}
		for what, edit := range map[string]func(*http.Request){
			"query and fragment in htu": f.proof(f.me.proof, "GET", address+"?a=b#c", t.access),
			"further claims":            f.proof(f.me.proof, "GET", address, t.access, "other", "claim"),
		} {
			if status := f.use(t.access, f.me, edit); status != http.StatusOK {
				f.Errorf("%s: %d", what, status)
			}
		}
	}))
}

func TestFAPI_RefreshToken(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		t := f.signIn(f.ask(f.me, "scope", "openid offline_access", "prompt", "consent"))
		if t.refresh == "" {
			f.Fatal("no refresh token")
		}
		form := func(by *party) url.Values {
			return f.proves(by, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {t.refresh}})
		}
		status, got := f.token(f.other, form(f.other))
		f.no(status, got, "invalid_grant")
		if status, got = f.token(f.me, form(f.me)); status != http.StatusOK || text(got["access_token"]) == t.access {
			f.Fatalf("%d %v", status, got)
		}
		if status := f.use(text(got["access_token"]), f.me); status != http.StatusOK {
			f.Errorf("the new access token: %d", status)
		}
	}))
}

func TestFAPI_PresentedTwice(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		a := f.ask(f.me)
		uri := f.pushed(f.me, a)
		first := f.open(f.me, uri)
		f.page(f.open(f.me, uri))
		f.s.code(f.respond(a, f.s.open(f.b, first.URL.String())))
	}))
}

func TestFAPI_RequestURIAgain(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		a := f.ask(f.me)
		uri := f.pushed(f.me, a)
		f.s.code(f.respond(a, f.open(f.me, uri)))
		f.page(f.open(f.me, uri))
	}))
}

func TestFAPI_RequestURIExpired(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		uri := f.pushed(f.me, f.ask(f.me))
		f.wait(61 * time.Second)
		f.page(f.open(f.me, uri))
	}))
}

func TestFAPI_AssertionEightSecondsAhead(t *testing.T) {
	each(t, inVariants(withKey, func(f *fapi) {
		form := f.proves(f.me, f.ask(f.me).params, "iat", f.now()+8, "nbf", f.now()+8)
		status, _, got := f.do(http.MethodPost, f.at("pushed_authorization_request_endpoint"), form, f.me)
		if status != http.StatusCreated {
			f.Errorf("%d %v", status, got)
		}
	}))
}

func TestFAPI_AssertionAMinuteAhead(t *testing.T) {
	each(t, inVariants(withKey, func(f *fapi) {
		form := f.proves(f.me, f.ask(f.me).params, "iat", f.now()+65, "nbf", f.now()+65, "exp", f.now()+120)
		status, _, got := f.do(http.MethodPost, f.at("pushed_authorization_request_endpoint"), form, f.me)
		f.no(status, got, "invalid_client")
	}))
}

func TestFAPI_RequestURIOfAnother(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		f.page(f.open(f.other, f.pushed(f.me, f.ask(f.me))))
	}))
}

func TestFAPI_RequestURIPushed(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		f.notPushed([]string{"invalid_request"}, "request_uri", "urn:ietf:params:oauth:request_uri:"+random(43))
	}))
}

func TestFAPI_PARByGet(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		form := f.proves(f.me, f.ask(f.me).params)
		for _, method := range []string{http.MethodGet, http.MethodPut} {
			if status, _, got := f.do(method, f.at("pushed_authorization_request_endpoint")+"?"+form.Encode(), nil, f.me); status != http.StatusMethodNotAllowed {
				f.Errorf("%s: %d %v", method, status, got)
			}
		}
	}))
}

func TestFAPI_PKCERequired(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		f.notPushed([]string{"invalid_request"}, "code_challenge", "-", "code_challenge_method", "-")
	}))
}

func TestFAPI_VerifierRequired(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		a := f.ask(f.me)
		form := f.grant(f.me, a, f.code(a))
		form.Del("code_verifier")
		status, got := f.token(f.me, form)
		f.no(status, got, "invalid_grant", "invalid_request")
	}))
}

func TestFAPI_VerifierWrong(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		a := f.ask(f.me)
		form := f.grant(f.me, a, f.code(a))
		form.Set("code_verifier", random(64))
		status, got := f.token(f.me, form)
		f.no(status, got, "invalid_grant")
	}))
}

func TestFAPI_PlainPKCE(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		f.notPushed([]string{"invalid_request"}, "code_challenge", random(43), "code_challenge_method", "plain")
	}))
}

func TestFAPI_WithoutDuplicates(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		a := f.ask(f.me)
		f.s.code(f.respond(a, f.open(f.me, f.pushed(f.me, a)))) // client_id and request_uri alone
	}))
}

func TestFAPI_AudienceArray(t *testing.T) {
	each(t, inVariants(withKey, func(f *fapi) {
		form := f.proves(f.me, f.ask(f.me).params, "aud", []string{f.s.issuer, f.s.endpoint("token_endpoint")})
		status, _, got := f.do(http.MethodPost, f.at("pushed_authorization_request_endpoint"), form, f.me)
		f.no(status, got, "invalid_client")
	}))
}

func TestFAPI_AudiencePAR(t *testing.T) {
	each(t, inVariants(withKey, func(f *fapi) {
		form := f.proves(f.me, f.ask(f.me).params, "aud", f.s.endpoint("pushed_authorization_request_endpoint"))
		status, _, got := f.do(http.MethodPost, f.at("pushed_authorization_request_endpoint"), form, f.me)
		f.no(status, got, "invalid_client")
	}))
}

func TestFAPI_AudienceToken(t *testing.T) {
	each(t, inVariants(withKey, func(f *fapi) {
		form := f.proves(f.me, f.ask(f.me).params, "aud", f.s.endpoint("token_endpoint"))
		status, _, got := f.do(http.MethodPost, f.at("pushed_authorization_request_endpoint"), form, f.me)
		f.no(status, got, "invalid_client")
	}))
}
