package oidc_test

import (
	"context"
	"net/http"
	"testing"

	"doorward/internal/directory"
	"doorward/internal/rig"
	"doorward/internal/sqlstore"
)

// What is rendered once is rendered anew as soon as the realm or its keys change, and a client that has it is told so.
func TestREQ_B70_DocumentsAreTaggedAndFollowTheRealm(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		for _, path := range []string{"/.well-known/openid-configuration", "/oauth2/jwks"} {
			ask := func(tag string) *http.Response {
				req, err := http.NewRequest(http.MethodGet, rig.Origin+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				if tag != "" {
					req.Header.Set("If-None-Match", tag)
				}
				res, err := s.Browser("192.0.2.9").HTTP.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				res.Body.Close()
				return res
			}
			tag := ask("").Header.Get("Etag")
			if len(tag) < 10 || ask("").Header.Get("Etag") != tag {
				t.Errorf("%s: the tag is %q", path, tag)
			}
			for _, same := range []string{tag, "W/" + tag, `"x", ` + tag, "*"} {
				if res := ask(same); res.StatusCode != http.StatusNotModified || res.Header.Get("Etag") != tag {
					t.Errorf("%s with %s: %d", path, same, res.StatusCode)
				}
			}
			if res := ask(`"other"`); res.StatusCode != http.StatusOK || res.Header.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%s with another tag: %d", path, res.StatusCode)
			}
			s.Write(func(tx *sqlstore.Tx) error { // another language, another algorithm
				r, err := tx.Realm("shop")
				r.Languages = r.Languages[:1]
				r.Relying = append(r.Relying, directory.RelyingParty{ID: "eddsa" + path[1:3], Auth: directory.AuthNone, IDTokenAlg: map[bool]string{true: "EdDSA", false: "PS256"}[path[1] == '.']})
				if err == nil {
					err = tx.PutRealm(r)
				}
				return err
			})
			if err := s.Realms.Refresh(context.Background()); err != nil {
				t.Fatal(err)
			}
			if res := ask(tag); res.StatusCode != http.StatusOK || res.Header.Get("Etag") == tag {
				t.Errorf("%s did not follow the realm: %d", path, res.StatusCode)
			}
		}
	})
}
