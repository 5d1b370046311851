package conformance

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// fapi2 is the plan of the FAPI 2.0 Security Profile (Final) for an authorization server: profile plain_fapi, OpenID Connect,
// unsigned requests, plain responses. Each module runs in the variants of client authentication and of binding to which it
// applies. Of the plan's list these do not apply to that profile: ensure-registered-redirect-uri (its place is taken by
// plain-fapi-tolerate-unregistered-redirect-uri), ensure-server-handles-non-matching-intent-id and
// test-essential-acr-sca-claim (Open Banking UK), australia-connectid-ensure-invalid-purpose-fails and
// australia-connectid-test-claims-parameter-idtoken-identity-claims (ConnectID), brazil-ensure-bad-payment-signature-fails, and
// the modules of Grant Management, which is not offered.
var fapi2 = plan{name: "FAPI 2.0 Security Profile", id: "fapi2-security-profile-final-test-plan", modules: []module{
	{"fapi2-security-profile-final-discovery-end-point-verification", "TestFAPI_Discovery", ""},
	{"fapi2-security-profile-final-happy-flow", "TestFAPI_HappyFlow", ""},
	{"fapi2-security-profile-final-user-rejects-authentication", "TestFAPI_UserRejects", ""},
	{"fapi2-security-profile-final-ensure-authorization-request-without-state-success", "TestFAPI_WithoutState", ""},
	{"fapi2-security-profile-final-ensure-authorization-request-without-nonce-success", "TestFAPI_WithoutNonce", ""},
	{"fapi2-security-profile-final-ensure-authorization-request-with-64-char-nonce-success", "TestFAPI_Nonce64", ""},
	{"fapi2-security-profile-final-ensure-other-scope-order-succeeds", "TestFAPI_OtherScopeOrder", ""},
	{"fapi2-security-profile-final-test-claims-parameter-identity-claims", "TestFAPI_ClaimsParameter", ""},
	{"fapi2-security-profile-final-access-token-type-header-case-sensitivity", "TestFAPI_TypeIsNotCaseSensitive", ""},
	{"fapi2-security-profile-final-check-dpop-proof-nbf-exp", "TestFAPI_ProofWithNbfAndExp", "with DPoP"},
	{"fapi2-security-profile-final-ensure-dpopproof-with-iat-10seconds-before-succeeds", "TestFAPI_ProofTenSecondsBefore", "with DPoP"},
	{"fapi2-security-profile-final-ensure-dpopproof-with-iat-10seconds-after-succeeds", "TestFAPI_ProofTenSecondsAfter", "with DPoP"},
	{"fapi2-security-profile-final-ensure-mismatched-dpop-jkt-fails", "TestFAPI_MismatchedJKT", "with DPoP"},
	{"fapi2-security-profile-final-ensure-token-endpoint-fails-with-mismatched-dpop-proof-jkt", "TestFAPI_TokenWithAnotherProof", "with DPoP"},
	{"fapi2-security-profile-final-ensure-token-endpoint-fails-with-mismatched-dpop-jkt", "TestFAPI_TokenWithAnotherJKT", "with DPoP"},
	{"fapi2-security-profile-final-ensure-dpopproof-at-par-endpoint-binding-success", "TestFAPI_ProofAtPAR", "with DPoP"},
	{"fapi2-security-profile-final-ensure-dpop-auth-code-binding-success", "TestFAPI_CodeBoundToKey", "with DPoP"},
	{"fapi2-security-profile-final-ensure-different-nonce-inside-and-outside-request-object", "TestFAPI_NonceOutside", "the one that was pushed counts"},
	{"fapi2-security-profile-final-ensure-different-state-inside-and-outside-request-object", "TestFAPI_StateOutside", "the one that was pushed counts"},
	{"fapi2-security-profile-final-ensure-authorization-request-with-long-nonce", "TestFAPI_LongNonce", "384 characters are given back as they were"},
	{"fapi2-security-profile-final-ensure-authorization-request-with-long-state", "TestFAPI_LongState", "384 characters are given back as they were"},
	{"fapi2-security-profile-final-state-only-outside-request-object-not-used", "TestFAPI_StateOnlyOutside", "no state is given back"},
	{"fapi2-security-profile-final-ensure-request-object-without-redirect-uri-fails", "TestFAPI_WithoutRedirect", "an error of the PAR endpoint"},
	{"fapi2-security-profile-final-plain-fapi-tolerate-unregistered-redirect-uri", "TestFAPI_UnregisteredRedirect", "refused: only registered addresses, letter by letter (SEC O-2)"},
	{"fapi2-security-profile-final-ensure-unsigned-authorization-request-without-using-par-fails", "TestFAPI_WithoutPAR", "an error sent to the client"},
	{"fapi2-security-profile-final-ensure-redirect-uri-in-authorization-request", "TestFAPI_RedirectInRequest", "an error of the PAR endpoint"},
	{"fapi2-security-profile-final-ensure-response-type-code-idtoken-fails", "TestFAPI_ResponseTypeCodeIDToken", "an error of the PAR endpoint"},
	{"fapi2-security-profile-final-ensure-response-type-token-fails", "TestFAPI_ResponseTypeToken", "an error of the PAR endpoint"},
	{"fapi2-security-profile-final-ensure-client-id-in-token-endpoint", "TestFAPI_ClientIDOfAnother", ""},
	{"fapi2-security-profile-final-ensure-holder-of-key-required", "TestFAPI_HolderOfKey", ""},
	{"fapi2-security-profile-final-ensure-authorization-code-is-bound-to-client", "TestFAPI_CodeBoundToClient", ""},
	{"fapi2-security-profile-final-attempt-reuse-authorization-code-after-one-second", "TestFAPI_CodeAgain", "and what came from it is revoked"},
	{"fapi2-security-profile-final-ensure-token-endpoint-fails-with-expired-auth-code", "TestFAPI_CodeExpired", ""},
	{"fapi2-security-profile-final-ensure-signed-client-assertion-with-RS256-fails", "TestFAPI_AssertionRS256", "with private_key_jwt"},
	{"fapi2-security-profile-final-ensure-client-assertion-in-token-endpoint", "TestFAPI_AssertionMissing", "with private_key_jwt"},
	{"fapi2-security-profile-final-ensure-client-assertion-with-exp-is-5-minutes-in-past-fails", "TestFAPI_AssertionExpired", "with private_key_jwt"},
	{"fapi2-security-profile-final-ensure-client-assertion-with-wrong-aud-fails", "TestFAPI_AssertionWrongAudience", "with private_key_jwt"},
	{"fapi2-security-profile-final-ensure-client-assertion-with-no-sub-fails", "TestFAPI_AssertionWithoutSub", "with private_key_jwt"},
	{"fapi2-security-profile-final-dpop-negative-tests", "TestFAPI_ProofsThatAreNone", "with DPoP"},
	{"fapi2-security-profile-final-refresh-token", "TestFAPI_RefreshToken", "refresh tokens rotate (SEC O-6)"},
	{"fapi2-security-profile-final-par-ensure-reused-request-uri-prior-to-auth-completion-succeeds", "TestFAPI_PresentedTwice", "a recommendation (5.3.2.2 note 3) that is not followed: a `request_uri` is presented once, and its page reloaded at an address of its own (SEC O-5)"},
	{"fapi2-security-profile-final-par-attempt-reuse-request_uri", "TestFAPI_RequestURIAgain", "a page"},
	{"fapi2-security-profile-final-par-attempt-to-use-expired-request_uri", "TestFAPI_RequestURIExpired", "a page"},
	{"fapi2-security-profile-final-par-ensure-jwt-client-assertions-nbf-8-seconds-in-the-future-is-accepted", "TestFAPI_AssertionEightSecondsAhead", "with private_key_jwt"},
	{"fapi2-security-profile-final-par-ensure-jwt-client-assertions-nbf-over-60-seconds-in-the-future-fails", "TestFAPI_AssertionAMinuteAhead", "with private_key_jwt"},
	{"fapi2-security-profile-final-par-attempt-to-use-request_uri-for-different-client", "TestFAPI_RequestURIOfAnother", "a page"},
	{"fapi2-security-profile-final-par-authorization-request-containing-request_uri-form-param", "TestFAPI_RequestURIPushed", ""},
	{"fapi2-security-profile-final-par-attempt-invalid-http-method", "TestFAPI_PARByGet", "405"},
	{"fapi2-security-profile-final-par-ensure-pkce-required", "TestFAPI_PKCERequired", ""},
	{"fapi2-security-profile-final-ensure-pkce-code-verifier-required", "TestFAPI_VerifierRequired", ""},
	{"fapi2-security-profile-final-incorrect-pkce-code-verifier-rejected", "TestFAPI_VerifierWrong", ""},
	{"fapi2-security-profile-final-par-plain-pkce-rejected", "TestFAPI_PlainPKCE", ""},
	{"fapi2-security-profile-final-par-without-duplicate-parameters", "TestFAPI_WithoutDuplicates", ""},
	{"fapi2-security-profile-final-par-test-array-as-audience-fails", "TestFAPI_AudienceArray", "with private_key_jwt"},
	{"fapi2-security-profile-final-par-test-par-endpoint-url-as-audience-fails", "TestFAPI_AudiencePAR", "with private_key_jwt"},
	{"fapi2-security-profile-final-par-test-token-endpoint-url-as-audience-fails", "TestFAPI_AudienceToken", "with private_key_jwt"},
}}

func TestFAPI_Discovery(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		meta := f.s.meta
		for _, alg := range []string{"PS256", "ES256", "EdDSA"} {
			if !f.s.lists("token_endpoint_auth_signing_alg_values_supported", alg) {
				f.Errorf("%s is not named", alg)
			}
		}
		if meta["issuer"] != f.s.issuer || meta["authorization_response_iss_parameter_supported"] != true || meta["tls_client_certificate_bound_access_tokens"] != true {
			f.Errorf("%v", meta)
		}
		for list, want := range map[string]string{
			"response_types_supported": "code", "code_challenge_methods_supported": "S256", "grant_types_supported": "authorization_code",
			"token_endpoint_auth_methods_supported": f.me.v.auth, "dpop_signing_alg_values_supported": "ES256", "scopes_supported": "openid",
		} {
			if !f.s.lists(list, want) {
				f.Errorf("%s has no %s", list, want)
			}
		}
		for _, name := range []string{"authorization_endpoint", "token_endpoint", "pushed_authorization_request_endpoint", "jwks_uri", "userinfo_endpoint"} {
			if !strings.HasPrefix(f.s.endpoint(name), "https://") {
				f.Errorf("%s is %s", name, f.s.endpoint(name))
			}
		}
		f.at("token_endpoint")
	}))
}

func TestFAPI_HappyFlow(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		t := f.signIn(f.ask(f.me))
		if !strings.Contains(t.scope, "email") {
			f.Errorf("scope is %q", t.scope)
		}
		other := f.ask(f.other)
		code := f.s.code(f.respond(other, f.open(f.other, f.pushed(f.other, other))))
		form := f.proves(f.other, url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {f.other.callback()}, "code_verifier": {other.verifier}})
		if status, got := f.token(f.other, form); status != http.StatusOK {
			f.Errorf("the second client: %d %v", status, got)
		}
	}))
}

func TestFAPI_UserRejects(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		a := f.ask(f.me)
		page := f.open(f.me, f.pushed(f.me, a))
		for _, form := range page.Forms() {
			for i, b := range form.Buttons() {
				if b == "deny" || strings.Contains(strings.ToLower(b), "not allow") {
					form.Press(i)
					next, err := f.b.Submit(form)
					if err != nil {
						f.Fatal(err)
					}
					if q := f.s.response(a, next); q.Get("error") != "access_denied" {
						f.Errorf("%v", q)
					}
					return
				}
			}
		}
		f.Errorf("nobody can say no: %s", page.Main())
	}))
}

func TestFAPI_WithoutState(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		a := f.ask(f.me, "state", "-")
		f.signIn(a)
	}))
}

func TestFAPI_WithoutNonce(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		f.signIn(f.ask(f.me, "nonce", "-"))
	}))
}

func TestFAPI_Nonce64(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		f.signIn(f.ask(f.me, "nonce", random(64)))
	}))
}

func TestFAPI_OtherScopeOrder(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		if t := f.signIn(f.ask(f.me, "scope", "email openid")); !strings.Contains(t.scope, "openid") || !strings.Contains(t.scope, "email") {
			f.Errorf("scope is %q", t.scope)
		}
	}))
}

func TestFAPI_ClaimsParameter(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		t := f.signIn(f.ask(f.me, "claims", `{"id_token":{"name":null,"email":{"essential":true}}}`))
		if t.claims["name"] != "Anna Alder" || t.claims["email"] != "anna@alder.example" {
			f.Errorf("%v", t.claims)
		}
	}))
}

func TestFAPI_TypeIsNotCaseSensitive(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		t := f.signIn(f.ask(f.me))
		for _, scheme := range []string{"bEaReR ", "BEARER ", "bearer "} {
			if f.me.v.bind == "dpop" {
				scheme = strings.NewReplacer("bEaReR", "dPoP", "BEARER", "DPOP", "bearer", "dpop").Replace(scheme)
			}
			if status := f.use(t.access, f.me, func(r *http.Request) { r.Header.Set("Authorization", scheme+t.access) }); status != http.StatusOK {
				f.Errorf("%q: %d", scheme, status)
			}
		}
	}))
}

func TestFAPI_ProofWithNbfAndExp(t *testing.T) {
	each(t, inVariants(withDPoP, func(f *fapi) {
		a := f.ask(f.me)
		form := f.grant(f.me, a, f.code(a))
		address := f.at("token_endpoint")
		status, got := f.token(f.me, form, f.proof(f.me.proof, "POST", address, "", "nbf", f.now()-5, "exp", f.now()+60))
		f.tokens(a, status, got)
	}))
}

func TestFAPI_ProofTenSecondsBefore(t *testing.T) {
	each(t, inVariants(withDPoP, func(f *fapi) {
		a := f.ask(f.me)
		form := f.grant(f.me, a, f.code(a))
		address := f.at("token_endpoint")
		status, got := f.token(f.me, form, f.proof(f.me.proof, "POST", address, "", "iat", f.now()-10))
		f.tokens(a, status, got)
	}))
}

func TestFAPI_ProofTenSecondsAfter(t *testing.T) {
	each(t, inVariants(withDPoP, func(f *fapi) {
		a := f.ask(f.me)
		form := f.grant(f.me, a, f.code(a))
		address := f.at("token_endpoint")
		status, got := f.token(f.me, form, f.proof(f.me.proof, "POST", address, "", "iat", f.now()+10))
		f.tokens(a, status, got)
	}))
}

func TestFAPI_MismatchedJKT(t *testing.T) {
	each(t, inVariants(withDPoP, func(f *fapi) {
		a := f.ask(f.me, "dpop_jkt", thumb(f.other.proof))
		address := f.at("pushed_authorization_request_endpoint")
		status, got := f.push(f.me, a, f.proof(f.me.proof, "POST", address, ""))
		f.no(status, got, "invalid_dpop_proof", "invalid_request")
	}))
}

func TestFAPI_TokenWithAnotherProof(t *testing.T) {
	each(t, inVariants(withDPoP, func(f *fapi) {
		a := f.ask(f.me)
		code := f.code(a, f.proof(f.other.proof, "POST", f.at("pushed_authorization_request_endpoint"), ""))
		status, got := f.token(f.me, f.grant(f.me, a, code))
		f.no(status, got, "invalid_dpop_proof", "invalid_grant", "invalid_request")
	}))
}

func TestFAPI_TokenWithAnotherJKT(t *testing.T) {
	each(t, inVariants(withDPoP, func(f *fapi) {
		a := f.ask(f.me, "dpop_jkt", thumb(f.other.proof))
		status, got := f.token(f.me, f.grant(f.me, a, f.code(a)))
		f.no(status, got, "invalid_dpop_proof", "invalid_grant", "invalid_request")
	}))
}

func TestFAPI_ProofAtPAR(t *testing.T) {
	each(t, inVariants(withDPoP, func(f *fapi) {
		a := f.ask(f.me)
		code := f.code(a, f.proof(f.me.proof, "POST", f.at("pushed_authorization_request_endpoint"), ""))
		status, got := f.token(f.me, f.grant(f.me, a, code))
		f.tokens(a, status, got)
	}))
}

func TestFAPI_CodeBoundToKey(t *testing.T) {
	each(t, inVariants(withDPoP, func(f *fapi) {
		f.signIn(f.ask(f.me, "dpop_jkt", thumb(f.me.proof)))
	}))
}

func TestFAPI_NonceOutside(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		a := f.ask(f.me)
		code := f.s.code(f.respond(a, f.open(f.me, f.pushed(f.me, a), "nonce", "outside")))
		status, got := f.token(f.me, f.grant(f.me, a, code))
		f.tokens(a, status, got)
	}))
}

func TestFAPI_StateOutside(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		a := f.ask(f.me)
		f.s.code(f.respond(a, f.open(f.me, f.pushed(f.me, a), "state", "outside")))
	}))
}

func TestFAPI_LongNonce(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		f.signIn(f.ask(f.me, "nonce", random(384)))
	}))
}

func TestFAPI_LongState(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		f.signIn(f.ask(f.me, "state", random(384)))
	}))
}

func TestFAPI_StateOnlyOutside(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		a := f.ask(f.me, "state", "-")
		f.s.code(f.respond(a, f.open(f.me, f.pushed(f.me, a), "state", "outside")))
	}))
}

func TestFAPI_WithoutRedirect(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		f.notPushed([]string{"invalid_request"}, "redirect_uri", "-")
	}))
}

func TestFAPI_UnregisteredRedirect(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		f.notPushed([]string{"invalid_request"}, "redirect_uri", f.me.callback()+"/other")
	}))
}

func TestFAPI_WithoutPAR(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		a := f.ask(f.me)
		a.params.Set("client_id", f.me.id)
		if q := f.s.response(a, f.s.open(f.b, f.s.address(a))); q.Get("error") != "invalid_request" {
			f.Errorf("%v", q)
		}
	}))
}

func TestFAPI_RedirectInRequest(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		f.notPushed([]string{"invalid_request"}, "redirect_uri", "-")
	}))
}

func TestFAPI_ResponseTypeCodeIDToken(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		f.notPushed([]string{"unsupported_response_type", "invalid_request"}, "response_type", "code id_token")
	}))
}

func TestFAPI_ResponseTypeToken(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		f.notPushed([]string{"unsupported_response_type", "invalid_request"}, "response_type", "token")
	}))
}

func TestFAPI_ClientIDOfAnother(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		a := f.ask(f.me)
		form := f.grant(f.me, a, f.code(a))
		form.Set("client_id", f.other.id)
		status, got := f.token(f.me, form)
		f.no(status, got, "invalid_client", "invalid_grant", "invalid_request")
	}))
}

func TestFAPI_HolderOfKey(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		a := f.ask(f.me)
		form := f.grant(f.me, a, f.code(a))
		address, by := f.at("token_endpoint"), f.me
		if f.me.v.bind == "mtls" {
			by = nil // no certificate; the rest is there
		}
		status, _, got := f.do(http.MethodPost, address, form, by)
		f.no(status, got, "invalid_dpop_proof", "invalid_client", "invalid_request", "invalid_grant")
	}))
}

func TestFAPI_CodeBoundToClient(t *testing.T) {
	each(t, inVariants(always, func(f *fapi) {
		a := f.ask(f.me)
		status, got := f.token(f.other, f.grant(f.other, a, f.code(a)))
		f.no(status, got, "invalid_grant")
	}))
}
