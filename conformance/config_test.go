package conformance

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/language"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
)

var configOP = plan{"Config OP", "oidcc-config-certification-test-plan", []module{
	{"oidcc-discovery-endpoint-verification", "TestConfig_DiscoveryEndpointVerification", "RS256 is named where a client of the realm is declared with it"},
}}

func TestConfig_DiscoveryEndpointVerification(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		status, header, doc := s.get(s.issuer + "/.well-known/openid-configuration")
		if status != http.StatusOK || !strings.HasPrefix(header.Get("Content-Type"), "application/json") {
			t.Fatalf("%d %q", status, header.Get("Content-Type"))
		}
		if _, err := gooidc.NewProvider(gooidc.ClientContext(t.Context(), s.server()), s.issuer); err != nil {
			t.Error(err)
		}
		if iss, err := url.Parse(text(doc["issuer"])); err != nil || doc["issuer"] != s.issuer || iss.RawQuery != "" || iss.Fragment != "" {
			t.Errorf("issuer is %v", doc["issuer"])
		}
		for _, needed := range []string{
			"authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "response_types_supported", "subject_types_supported",
			"id_token_signing_alg_values_supported", "scopes_supported", "claims_supported",
		} {
			if doc[needed] == nil {
				t.Errorf("no %s", needed)
			}
		}
		for name, v := range doc {
			s.member(name, v)
		}
		for list, want := range map[string][]string{
			"response_types_supported": {"code"}, "id_token_signing_alg_values_supported": {"RS256"}, "scopes_supported": {"openid"},
			"grant_types_supported": {"authorization_code"}, "code_challenge_methods_supported": {"S256"},
		} {
			for _, v := range want {
				if !s.lists(list, v) {
					t.Errorf("%s has no %s", list, v)
				}
			}
		}
		if !s.lists("subject_types_supported", "public") && !s.lists("subject_types_supported", "pairwise") {
			t.Error("subject_types_supported has neither")
		}
		for _, not := range []string{"implicit", "password"} {
			if s.lists("grant_types_supported", not) {
				t.Errorf("grant_types_supported has %s", not)
			}
		}
		if doc["claims_parameter_supported"] != true {
			t.Error("claims_parameter_supported is not true")
		}
		s.publishedKeys()
		s.endpointsAnswer()
	})
}

// member checks one member by what its name says it is.
func (s *stage) member(name string, v any) {
	s.Helper()
	switch {
	case strings.HasSuffix(name, "_supported") && name != "scopes_supported" && isBool(v):
	case strings.HasSuffix(name, "_supported"), strings.HasSuffix(name, "_values"):
		all, ok := v.([]any)
		if !ok || len(all) == 0 {
			s.Errorf("%s is %v, want a list that is not empty", name, v)
		}
		seen := map[any]bool{}
		for _, one := range all {
			if text(one) == "" || seen[one] {
				s.Errorf("%s has %v", name, one)
			}
			seen[one] = true
			if tag, err := language.Parse(text(one)); strings.HasSuffix(name, "_locales_supported") && (err != nil || tag.String() != text(one)) {
				s.Errorf("%s has %v: %v", name, one, err)
			}
			if name == "scopes_supported" && strings.ContainsFunc(text(one), func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
				s.Errorf("%s has %v (RFC 6749 3.3)", name, one)
			}
		}
	case strings.HasSuffix(name, "_endpoint"), strings.HasSuffix(name, "_uri"), name == "issuer":
		if u, err := url.Parse(text(v)); err != nil || u.Scheme != "https" || u.Host == "" || u.Fragment != "" {
			s.Errorf("%s is %v", name, v)
		}
	case name == "mtls_endpoint_aliases":
		aliases, _ := v.(map[string]any)
		for alias, address := range aliases {
			s.member(alias, address)
		}
	case isBool(v): // require_…, tls_client_certificate_bound_access_tokens, …
	default:
		s.Errorf("%s is %v: nothing says what that is", name, v)
	}
}

func isBool(v any) bool { _, ok := v.(bool); return ok }

// publishedKeys checks the key set: public keys alone, each with its own kid, its use and its algorithm.
func (s *stage) publishedKeys() {
	s.Helper()
	set := s.keys()
	kids, algs := map[string]bool{}, []string{}
	for _, k := range set.Keys {
		if !k.Valid() || !k.IsPublic() || k.KeyID == "" || kids[k.KeyID] || k.Use != "sig" {
			s.Errorf("key %q: valid %v, public %v, use %q", k.KeyID, k.Valid(), k.IsPublic(), k.Use)
		}
		kids[k.KeyID] = true
		algs = append(algs, k.Algorithm)
	}
	all, _ := s.meta["id_token_signing_alg_values_supported"].([]any)
	for _, alg := range all {
		if !slices.Contains(algs, text(alg)) {
			s.Errorf("no key for %v", alg)
		}
	}
	status, _, raw := s.get(s.endpoint("jwks_uri"))
	keys, _ := raw["keys"].([]any)
	if status != http.StatusOK || len(keys) != len(set.Keys) {
		s.Fatalf("%d: %v", status, raw)
	}
	for _, k := range keys {
		key, _ := k.(map[string]any)
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k", "oth"} {
			if key[private] != nil {
				s.Errorf("the published key %v has %s", key["kid"], private)
			}
		}
	}
}

// endpointsAnswer checks that every address of the document is one where something is.
func (s *stage) endpointsAnswer() {
	s.Helper()
	for name, v := range s.meta {
		if !strings.HasSuffix(name, "_endpoint") {
			continue
		}
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			req, err := http.NewRequest(method, text(v), strings.NewReader(""))
			if err != nil {
				s.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			res, err := s.server().Do(req)
			if err != nil {
				s.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode == http.StatusNotFound || res.StatusCode >= http.StatusInternalServerError {
				s.Errorf("%s %s: %d", method, name, res.StatusCode)
			}
		}
	}
}
