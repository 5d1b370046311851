package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The paths of applications. The client is the same for the floor and for us; every answer is read whole.
const (
	clientID     = "bench"
	clientSecret = "a-secret-of-the-benchmark-that-guards-nothing"
	callback     = "https://app.localhost/callback"
	verifier     = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge    = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// relying is the client in the realm file.
func relying() []byte {
	sum := sha256.Sum256([]byte(clientSecret))
	return fmt.Appendf(nil, `
[[relying_party]]
id = %q
name = "Bench"
home = "https://app.localhost/"
auth = "client_secret_basic"
secret_sha256 = %q
redirect_uris = [%q]
grants = ["authorization_code", "refresh_token", "client_credentials"]
scopes = ["openid", "profile", "email", "organization"]
first_party = true

[[relying_party]]
id = "guarded"
name = "Guarded"
home = "https://%s/"
hosts = [%q]
`, clientID, hex.EncodeToString(sum[:]), callback, guardedHost, guardedHost)
}

// provider measures rows 1, 2, 4, 5 and 6 that were asked for.
func provider(f *floorServer, s *site, asked func(string) bool) ([]result, error) {
	var out []result
	c := client(s.pool, s.address)
	add := func(row, path string, n int, most float64, floor, ours func(int) error) error {
		if !asked(row) {
			return nil
		}
		r, err := beside(f, s, row, path, n, most, floor, ours)
		out = append(out, r)
		return err
	}
	static := func(int) error { return get(f.client, floorURL+"/discovery", "") }
	for _, path := range []string{"/.well-known/openid-configuration", "/oauth2/jwks"} {
		if err := add("1", path, 4000, 1.25, static, func(int) error { return get(c, siteURL+path, "") }); err != nil {
			return out, err
		}
	}
	itself := url.Values{"grant_type": {"client_credentials"}}
	if err := add("2", "token, client_credentials, ES256, audited", 2000, 1.35,
		func(int) error { _, err := exchange(f.client, floorURL+"/token", itself); return err },
		func(int) error { _, err := exchange(c, siteURL+"/oauth2/token", itself); return err }); err != nil {
		return out, err
	}
	if !asked("4") && !asked("5") && !asked("6") {
		return out, nil
	}
	if err := s.invite(8); err != nil {
		return out, err
	}
	if err := add("4", "code flow with a live session, to the tokens, durable", 600, 1.3,
		func(i int) error { _, err := f.flow(i); return err },
		func(i int) error { _, err := s.flow(c, i); return err }); err != nil {
		return out, err
	}
	if asked("5") {
		floor, err := chains(func(i int) (tokens, error) { return f.flow(i) })
		if err != nil {
			return out, err
		}
		ours, err := chains(func(i int) (tokens, error) { return s.flow(c, i) })
		if err != nil {
			return out, err
		}
		if err := add("5", "refresh with rotation, durable", 1000, 1.3,
			floor.each(f.client, floorURL+"/refresh"), ours.each(c, siteURL+"/oauth2/token")); err != nil {
			return out, err
		}
	}
	if !asked("6") {
		return out, nil
	}
	theirs, err := f.flow(0)
	if err != nil {
		return out, err
	}
	mine, err := s.flow(c, 0)
	if err != nil {
		return out, err
	}
	if err := add("6", "introspection of an access token", 3000, 1.5,
		func(int) error { return post(f.client, floorURL+"/introspect", url.Values{"token": {theirs.Access}}) },
		func(int) error { return post(c, siteURL+"/oauth2/introspect", url.Values{"token": {mine.Access}}) }); err != nil {
		return out, err
	}
	return out, add("6", "userinfo", 3000, 1.5,
		func(int) error { return get(f.client, floorURL+"/userinfo", theirs.Access) },
		func(int) error { return get(c, siteURL+"/oauth2/userinfo", mine.Access) })
}

// beside measures one path and its floor in turn, and compares the medians.
func beside(f *floorServer, s *site, row, path string, n int, most float64, floor, ours func(int) error) (result, error) {
	var floors, all []time.Duration
	for range rounds {
		d, err := perRequest(f.process, n, 4, floor)
		if err != nil {
			return result{}, err
		}
		floors = append(floors, d)
		if d, err = perRequest(s.process, n, 4, ours); err != nil {
			return result{}, err
		}
		all = append(all, d)
	}
	return compared(row, path, median(floors), median(all), most), nil
}

func get(c *http.Client, address, bearer string) error {
	req := request(http.MethodGet, address, "", "")
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	return send(c, req, http.StatusOK)
}

func posted(address string, form url.Values) *http.Request {
	req := request(http.MethodPost, address, form.Encode(), "")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(clientID, clientSecret)
	return req
}

// post is an introspection; what is not active is no measurement.
func post(c *http.Client, address string, form url.Values) error {
	var is struct{ Active bool }
	if err := ask(c, posted(address, form), &is); err != nil || is.Active {
		return err
	}
	return fmt.Errorf("%s: the token is not active", address)
}

// tokens are what the token endpoint gives.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

func exchange(c *http.Client, address string, form url.Values) (t tokens, err error) {
	err = ask(c, posted(address, form), &t)
	if err == nil && t.Access == "" {
		err = fmt.Errorf("%s: no token", address)
	}
	return t, err
}

func ask(c *http.Client, req *http.Request, into any) error {
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d: %s", req.URL.Path, res.StatusCode, b)
	}
	return json.Unmarshal(b, into)
}

// flow is a whole code flow at the floor.
func (f *floorServer) flow(i int) (tokens, error) {
	code, err := follow(f.client, request(http.MethodGet, floorURL+"/code", "", fmt.Sprintf("%043d", i%1000)))
	if err != nil {
		return tokens{}, err
	}
	return exchange(f.client, floorURL+"/redeem", url.Values{"grant_type": {"authorization_code"}, "code": {code}})
}

// flow is a whole code flow of somebody who is signed in, from an address of their own: what one network may begin is
// bounded.
func (s *site) flow(c *http.Client, i int) (tokens, error) {
	from := fmt.Sprintf("198.19.%d.%d", i>>8&255, i&255)
	q := url.Values{
		"client_id": {clientID}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid profile email organization"},
		"state": {base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "state %016d", i))}, "nonce": {fmt.Sprintf("nonce-%016d", i)},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	req := request(http.MethodGet, siteURL+"/oauth2/authorize?"+q.Encode(), "", s.cookies[i%len(s.cookies)])
	req.Header.Set("X-Forwarded-For", from)
	code, err := follow(c, req)
	if err != nil {
		return tokens{}, err
	}
	return exchange(c, siteURL+"/oauth2/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier},
	})
}

// follow follows redirects within a host and returns the code of the one that leads to the client.
func follow(c *http.Client, req *http.Request) (string, error) {
	for range 3 {
		res, err := c.Do(req)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		to := res.Header.Get("Location")
		if err != nil || res.StatusCode != http.StatusSeeOther {
			return "", fmt.Errorf("%s: status %d, %v", req.URL.Path, res.StatusCode, err)
		}
		next, err := req.URL.Parse(to)
		if err != nil {
			return "", err
		}
		if strings.HasPrefix(to, callback) {
			if code := next.Query().Get("code"); code != "" {
				return code, nil
			}
			return "", fmt.Errorf("%s: no code in %s", req.URL.Path, to)
		}
		again := request(http.MethodGet, next.String(), "", "")
		again.Header = req.Header.Clone()
		req = again
	}
	return "", fmt.Errorf("%s leads round", req.URL.Path)
}

// rotation hands out refresh tokens, each to one caller at a time.
type rotation chan string

func chains(flow func(int) (tokens, error)) (rotation, error) {
	r := make(rotation, 16)
	for i := range cap(r) {
		t, err := flow(i)
		if err != nil {
			return nil, err
		}
		r <- t.Refresh
	}
	return r, nil
}

func (r rotation) each(c *http.Client, address string) func(int) error {
	return func(int) error {
		t, err := exchange(c, address, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {<-r}})
		r <- t.Refresh
		return err
	}
}
