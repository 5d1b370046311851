package token

import (
	"bufio"
	"encoding/json"
	"flag"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"doorward/internal/directory"
)

// registered is what the client of the corpus has registered.
var registered = []string{
	"https://shop.example.com/cb",
	"https://shop.example.com/app/callback?tenant=1",
	"https://shop.example.com:8443/cb",
	"https://xn--bcher-kva.example/cb",
	"http://127.0.0.1/cb",
	"http://127.0.0.1:7777/other",
	"http://[::1]/cb",
	"com.example.shop:/oauth/cb",
}

// corpus reads testdata/redirects.txt: one address a line, Go escapes; a line beginning with # says what follows.
func corpus(t testing.TB) []string {
	t.Helper()
	f, err := os.Open("testdata/redirects.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []string
	for s := bufio.NewScanner(f); s.Scan(); {
		line := s.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		for from, to := range map[string]string{`\t`: "\t", `\r`: "\r", `\n`: "\n", `\0`: "\x00", `\s`: " "} {
			line = strings.ReplaceAll(line, from, to)
		}
		out = append(out, line)
	}
	return out
}

var update = flag.Bool("update", false, "write testdata/redirects.json anew")

// TestTheCorpusIsShared keeps the whole corpus in a file, registered addresses and wrong ones, so that the endpoints are
// held against the same.
func TestTheCorpusIsShared(t *testing.T) {
	var all struct{ Registered, Wrong []string }
	all.Registered = registered
	seen := map[string]bool{}
	for _, uri := range slices.Concat(corpus(t), mutations()) {
		if !slices.Contains(registered, uri) && !seen[uri] {
			seen[uri] = true
			all.Wrong = append(all.Wrong, uri)
		}
	}
	want, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("testdata/redirects.json", append(want, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile("testdata/redirects.json"); err != nil || string(have) != string(want)+"\n" {
		t.Errorf("testdata/redirects.json is not the corpus (%v): go test ./internal/token -run TheCorpusIsShared -update", err)
	}
}

// mutations are every registered address with every small change that some reader of addresses does not see.
func mutations() []string {
	var out []string
	for _, r := range registered {
		scheme, rest, _ := strings.Cut(r, ":")
		host := strings.TrimPrefix(rest, "//")
		host, path, _ := strings.Cut(host, "/")
		at := func(h, p string) string {
			if strings.HasPrefix(rest, "//") {
				return scheme + "://" + h + "/" + p
			}
			return scheme + ":/" + p
		}
		out = append(out,
			r+"/", r+"?", r+"&", r+"#", r+"#x", r+"%20", r+" ", " "+r, r+"\t", "\t"+r, r+"\n", r+"\x00", r+"%00", r+"%0d%0aX:1", r+".", r+";", r+";x=1", r+"/..", r+"/../cb", r+"/..;/cb",
			r+"/%2e%2e/cb", r+"/.", r+"\\", r+"@evil.example", r+"?x=1", r+"&x=1", r+"//", r+"/*", r+"*", r+r, r+" "+r, r+","+r,
			strings.ToUpper(r), strings.ToUpper(scheme)+":"+rest, strings.Replace(r, "/cb", "/CB", 1)+"x", scheme+"s:"+rest, "x"+r, scheme+":"+strings.TrimPrefix(rest, "/"), scheme+":/"+rest, scheme+"::"+rest,
			"//"+host+"/"+path, host+"/"+path, "/"+path, path, "javascript:"+r, "data:text/html,"+r, "view-source:"+r, "blob:"+r,
			at(host, "/"+path), at(host, "./"+path), at(host, "x/../"+path), at(host, "x/..;/"+path), at(host, "%2e/"+path), at(host, "x/%2e%2e/"+path), at(host, "x%2f..%2f"+path), at(host, "\\"+path),
			at("evil.example", path), at("user@"+host, path), at("user:pass@"+host, path), at("@"+host, path), at(host+"@evil.example", path), at(host+":80@evil.example", path), at(host+"%40evil.example", path),
			at("evil.example\\@"+host, path), at("evil.example#@"+host, path), at("evil.example?@"+host, path), at("evil.example/@"+host, path), at("evil.example%23@"+host, path), at("a@b@"+host, path),
			at(host+".", path), at("."+host, path), at(host+".evil.example", path), at("evil"+host, path), at(host+"%2eevil.example", path), at(host+"\\.evil.example", path), at(host+"%00.evil.example", path),
			at(strings.ReplaceAll(host, ".", "。"), path), at(strings.ReplaceAll(host, ".", "．"), path), at(strings.ReplaceAll(host, ".", "｡"), path), at(strings.Replace(host, "o", "о", 1)+"x", path), at(strings.Replace(host, "s", "ſ", 1)+"x", path),
			at(host+":", path), at(host+":0", path), at(host+":443x", path), at(host+":+443", path), at(host+": 443", path), at(host+":99999", path), at(host+":443@x", path), at(host+"\t", path), at(host+"\r\n", path), at(host+" ", path),
		)
	}
	return out
}

// TestSEC_O2_RedirectCorpus holds the corpus against a client that registered a bit of everything.
func TestSEC_O2_RedirectCorpus(t *testing.T) {
	named, made := corpus(t), mutations()
	seen := map[string]bool{}
	rp := shop()
	rp.RedirectURIs, rp.PostLogoutURIs = registered, registered
	strict := rp
	strict.Profile = directory.FAPI2
	for _, uri := range slices.Concat(named, made) {
		if slices.Contains(registered, uri) || seen[uri] {
			continue // "https" with an s more than http is another registered address
		}
		seen[uri] = true
		for name, taken := range map[string]bool{"redirect": MatchRedirect(rp, uri), "log-out": MatchPostLogout(rp, uri), "FAPI": MatchRedirect(strict, uri)} {
			if taken {
				t.Errorf("%s: %q was taken", name, uri)
			}
		}
		a, err := CheckRequest(with(goodParams(), "redirect_uri", uri), rp, Channel{})
		if e := AsOAuth(err); e == nil || e.ToClient || a.Redirect != "" {
			t.Errorf("%q: an error that would be sent there: %v", uri, err)
		}
	}
	if len(named) < 150 || len(seen) < 500 {
		t.Fatalf("a corpus of %d and %d cases is too small", len(named), len(seen))
	}
	t.Logf("%d cases", len(seen))
}

func TestSEC_O2_WhatIsRegisteredIsTaken(t *testing.T) {
	rp := shop()
	rp.RedirectURIs = registered
	for _, uri := range append(slices.Clone(registered),
		"http://127.0.0.1:1/cb", "http://127.0.0.1:65535/cb", "http://127.0.0.1:54321/other", "http://127.0.0.1/other", "http://[::1]:8080/cb") {
		if !MatchRedirect(rp, uri) {
			t.Errorf("%q was refused", uri)
		}
		if MatchRedirect(directory.RelyingParty{ID: "other", RedirectURIs: []string{"https://other.example.com/cb"}}, uri) {
			t.Errorf("%q was taken for another client", uri)
		}
	}
	// Only the loopback addresses lend their port.
	for _, uri := range []string{
		"http://127.0.0.1:0/cb", "http://127.0.0.1:065/cb", "http://127.0.0.1:65536/cb", "http://127.0.0.1:/cb", "http://127.0.0.1:8080/", "http://127.0.0.1:8080/cb?x", "http://127.0.0.1:8080/cb/",
		"http://127.0.0.1:8080", "http://127.0.0.1:-1/cb", "http://127.0.0.1:8080:8080/cb", "http://127.0.0.1:80a/cb", "http://127.0.0.1.evil.example:80/cb", "http://127.0.0.1@evil.example/cb",
		"http://127.0.0.1:80@evil.example/cb", "http://127.0.0.2/cb", "http://127.1/cb", "http://0177.0.0.1/cb", "http://2130706433/cb", "http://localhost/cb", "http://localhost:7777/other",
		"http://[::1]:0/cb", "http://[::1]x/cb", "http://[0:0:0:0:0:0:0:1]/cb", "http://[::1%25lo]/cb", "http://[::ffff:127.0.0.1]/cb", "https://127.0.0.1/cb", "https://127.0.0.1:9/cb", "http://[::]/cb", "http://0.0.0.0/cb",
		"https://shop.example.com:8444/cb", "https://shop.example.com:443/cb", "http://shop.example.com/cb", "com.example.shop:7777/oauth/cb",
	} {
		if MatchRedirect(rp, uri) {
			t.Errorf("%q was taken", uri)
		}
	}
}

// TestSEC_O2_RegisteredIsNotEnough: a realm file from before, or edited in the database, opens nothing.
func TestSEC_O2_RegisteredIsNotEnough(t *testing.T) {
	for _, uri := range []string{
		"", "*", "https://*.example.com/cb", "https://shop.example.com/*", "http://shop.example.com/cb", "http://localhost/cb", "https://user@shop.example.com/cb", "https://shop.example.com/cb#", "https://shop.example.com/cb#x",
		"javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "ftp://shop.example.com/", "custom:/cb", "com.example.shop://cb", "COM.example.shop:/cb", "com.example.shop:cb", "//shop.example.com/cb", "/cb", "https:///cb", "https:shop.example.com/cb",
		"https://Shop.example.com/cb", "HTTPS://shop.example.com/cb", "https://shop.example.com./cb", "https://shop..example.com/cb", "https://-shop.example.com/cb", "https://shop_x.example.com/cb", "https://bücher.example/cb",
		"https://shop.example.com\\cb", "https://shop.example.com/a/../cb", "https://shop.example.com/a/..;/cb", "https://shop.example.com/%2e%2e/cb", "https://shop.example.com/a%2fb", "https://shop.example.com/a%5cb", "https://shop.example.com/a@b",
		"https://[fe80::1%25eth0]/cb", "https://[::ffff:1.2.3.4]/cb", "https://1.2.3/cb", "https://0x7f.1/cb", "https://017700000001/cb", "https://shop.example.com:/cb", "https://shop.example.com:0443/cb", "https://shop.example.com:70000/cb",
		"https://shop.example.com/cb x", "https://shop.example.com/cb\n", "https://shop.example.com/{id}", "https://shop.example.com/cb?a=1;b=2", "https://shop.example.com/" + strings.Repeat("x", 1024), "urn:ietf:wg:oauth:2.0:oob",
		"http://127.0.0.1@evil.example/", "http://127.0.0.1:x/", "http://[::1]@evil.example/", "https://shop.example.com/%252e%252e/",
	} {
		rp := shop()
		rp.RedirectURIs, rp.PostLogoutURIs = []string{uri}, []string{uri}
		if MatchRedirect(rp, uri) || MatchPostLogout(rp, uri) || ValidRedirect(uri, false) {
			t.Errorf("%q was taken because it is registered", uri)
		}
	}
	for _, uri := range registered {
		if !ValidRedirect(uri, false) {
			t.Errorf("%q is a fine address", uri)
		}
	}
	if ValidRedirect("com.example.shop:/oauth/cb", true) || ValidRedirect("http://127.0.0.1/cb", true) {
		t.Error("FAPI 2.0 wants https")
	}
	if !ValidRedirect("https://[2001:db8::1]:8443/cb", true) || !ValidRedirect("https://192.0.2.1/cb", true) || !ValidRedirect("https://host/cb", true) || !ValidRedirect("https://shop.example.com", true) {
		t.Error("a fine address was refused")
	}
}

// TestSEC_O2_RealmFileAndUseAgree: what a realm file may register is what is taken when it is used, and nothing more. Two
// readers that differ would leave a client that cannot sign anybody in, or a rule that only one of them knows.
func TestSEC_O2_RealmFileAndUseAgree(t *testing.T) {
	base, err := os.ReadFile("../../realms/shop.toml")
	if err != nil {
		t.Fatal(err)
	}
	taken := 0
	for _, uri := range slices.Concat(registered, corpus(t), mutations(), []string{"https://other.example", "https://other.example:8443/a?b=c", "https://192.0.2.1/cb", "https://a-b.example/%20"}) {
		if strings.ContainsFunc(uri, func(r rune) bool { return r < ' ' || r == '\'' }) {
			continue // cannot stand in the file in this form
		}
		r, err := directory.ParseRealm("x", []byte(string(base)+"\n[[relying_party]]\nid = \"corpus-client\"\nname = \"C\"\nhome = \"https://c.example/\"\nauth = \"none\"\nredirect_uris = ['"+uri+"']\n"))
		ok := err == nil && slices.Contains(r.Relying[len(r.Relying)-1].RedirectURIs, uri)
		if ok {
			taken++
		}
		if ok && !ValidRedirect(uri, false) {
			t.Errorf("%q can be registered and is never taken", uri)
		}
		if !ok && ValidRedirect(uri, false) && !stricter(uri) {
			t.Errorf("%q would be taken and cannot be registered: %v", uri, err)
		}
	}
	if taken < 50 {
		t.Fatalf("%d addresses that can be registered prove nothing", taken)
	}
}

// stricter are addresses that the realm file refuses for reasons of its own: hosts that it does not know how to write.
func stricter(uri string) bool {
	u, err := url.Parse(uri)
	if err != nil {
		return false
	}
	if _, err := directory.CanonicalHost(u.Hostname()); err != nil {
		return true
	}
	return u.Query().Has("iss") || u.Query().Has("state") || u.Query().Has("code")
}

// TestSEC_O2_MatchIsEqualityOrPort: whatever is asked, a match is the registered address or differs in a loopback port.
func TestSEC_O2_MatchIsEqualityOrPort(t *testing.T) {
	rp := shop()
	rp.RedirectURIs = registered
	for _, uri := range registered {
		if !MatchRedirect(rp, uri) {
			t.Errorf("%q is registered and does not match", uri)
		}
	}
	pieces := []string{"https://", "http://", "shop.example.com", "127.0.0.1", "[::1]", "localhost", ":", "8080", "/cb", "/other", "@", "\\", "..;/", "%2e", ".", "evil.example", "?", "#", "\t", "com.example.shop:", "/oauth"}
	rapid.Check(t, func(t *rapid.T) {
		uri := strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 1, 6).Draw(t, "pieces"), "")
		if rapid.Bool().Draw(t, "begin with a registered one") {
			uri = rapid.SampledFrom(registered).Draw(t, "registered")
			i := rapid.IntRange(0, len(uri)).Draw(t, "at")
			uri = uri[:i] + rapid.SampledFrom(append(pieces, "")).Draw(t, "piece") + uri[i:]
		}
		if !MatchRedirect(rp, uri) {
			return
		}
		if slices.Contains(registered, uri) {
			return
		}
		u, err := url.Parse(uri)
		if err != nil || u.Scheme != "http" || u.User != nil || u.Hostname() != "127.0.0.1" && u.Hostname() != "::1" {
			t.Fatalf("%q matched", uri)
		}
		bare := strings.Replace(uri, ":"+u.Port()+u.Path, u.Path, 1)
		if !slices.ContainsFunc(registered, func(r string) bool { return strings.Replace(r, ":7777", "", 1) == bare }) {
			t.Fatalf("%q matched, bare %q", uri, bare)
		}
	})
}

func TestSEC_O8_AnswerKeepsQueryAndNamesIssuer(t *testing.T) {
	for redirect, want := range map[string]string{
		"https://a.example/cb":      "https://a.example/cb?code=c%261&iss=https%3A%2F%2Flogin.example.com&state=s%23",
		"https://a.example/cb?x=1":  "https://a.example/cb?x=1&code=c%261&iss=https%3A%2F%2Flogin.example.com&state=s%23",
		"https://a.example/cb?":     "https://a.example/cb?code=c%261&iss=https%3A%2F%2Flogin.example.com&state=s%23",
		"https://a.example/cb?x=1&": "https://a.example/cb?x=1&code=c%261&iss=https%3A%2F%2Flogin.example.com&state=s%23",
		"com.example.a:/cb":         "com.example.a:/cb?code=c%261&iss=https%3A%2F%2Flogin.example.com&state=s%23",
	} {
		if got := Answer(redirect, issuer, "s#", "code", "c&1"); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
	got, err := url.Parse(AnswerError("https://a.example/cb", issuer, "", Refuse(CodeLoginRequired, "sign in")))
	if err != nil || got.Query().Get("error") != "login_required" || got.Query().Has("state") || got.Query().Get("iss") != issuer || got.Query().Get("error_description") != "sign in" {
		t.Errorf("%v %v", got, err)
	}
}
