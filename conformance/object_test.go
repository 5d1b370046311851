package conformance

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"testing"
)

// unsigned is a request as a request object with alg none (OpenID Connect Core 6.1).
func (s *stage) unsigned(params url.Values) string {
	s.Helper()
	claims := map[string]string{"iss": params.Get("client_id"), "aud": s.issuer}
	for name := range params {
		claims[name] = params.Get(name)
	}
	b, err := json.Marshal(claims)
	if err != nil {
		s.Fatal(err)
	}
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"none"}`)) + "." + enc(b) + "."
}

func TestBasic_UnsignedRequestObject(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		if s.lists("request_object_signing_alg_values_supported", "none") {
			t.Error("the metadata offers it")
		}
		// With keys that the object should be signed with: nothing in it or beside it is believed.
		a := s.ask(signed)
		a.params.Set("request", s.unsigned(a.params))
		s.page(s.open(s.browser(), s.address(a)))

		b := s.browser()
		s.signIn(b, s.ask(basic)) // so that nothing but the object stands in the way
		a = s.ask(basic)
		a.params.Set("request", s.unsigned(a.params))
		if q := s.response(a, s.open(b, s.address(a))); q.Get("error") != "request_not_supported" {
			t.Errorf("response is %v", q)
		}
	})
}

func TestBasic_RequestObjectWithRedirectURI(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		a := s.ask(basic)
		a.params.Set("request", s.unsigned(a.params))
		a.params.Set("redirect_uri", basic.callback()+random(8))
		s.page(s.open(s.browser(), s.address(a)))
	})
}

func TestBasic_RequestURIUnsigned(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		if s.meta["request_uri_parameter_supported"] == true { // absent means true (OpenID Connect Discovery 3)
			t.Error("the metadata offers it")
		}
		if _, said := s.meta["request_uri_parameter_supported"]; !said {
			t.Error("the metadata says nothing, which means yes")
		}
		a := s.ask(basic, "request_uri", basic.origin()+"/object")
		if q := s.response(a, s.open(s.browser(), s.address(a))); q.Get("error") != "request_uri_not_supported" {
			t.Errorf("response is %v", q)
		}
		if _, n := s.sites.last(basic.origin() + "/object"); n != 0 {
			t.Error("the provider fetched an address that a request named")
		}
	})
}
