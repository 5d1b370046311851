package directory

import (
	"slices"
	"strings"
	"testing"
)

// with is the smallest realm with a relying party of these lines.
func with(lines string) []byte {
	return []byte(smallest + "[[relying_party]]\nid = \"app\"\nname = \"App\"\nhome = \"https://app.example/\"\n" + lines)
}

const hash64 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestREQ_B28_ARelyingPartyFillsDefaults(t *testing.T) {
	r, err := ParseRealm("x", with("auth = \"client_secret_basic\"\nsecret_sha256 = \""+hash64+"\"\nredirect_uris = [\"https://app.example/cb\"]\npolicy = '''\nlogin passkey\n'''\n"))
	if err != nil {
		t.Fatal(err)
	}
	rp := r.Relying[0]
	if !slices.Equal(rp.Grants, []string{GrantCode}) || !slices.Equal(rp.Scopes, []string{ScopeOpenID}) || rp.IDTokenAlg != "ES256" || rp.RequirePAR || rp.Strict() {
		t.Errorf("%+v", rp)
	}
	line := strings.Split(string(with("auth = \"client_secret_basic\"\nsecret_sha256 = \""+hash64+"\"\nredirect_uris = [\"https://app.example/cb\"]\npolicy = '''\nlogin passkey\n'''\n")), "\n")[rp.PolicyLine-1]
	if line != "login passkey" {
		t.Errorf("line %d is %q", rp.PolicyLine, line)
	}
}

func TestSEC_O6_TheStrictProfileMakesTheChoices(t *testing.T) {
	for _, auth := range []string{
		"auth = \"private_key_jwt\"\njwks_uri = \"https://app.example/jwks\"",
		"auth = \"tls_client_auth\"\ntls_client_auth_subject_dn = \"CN=app.example,O=Example\"\ntls_client_auth_ca = \"its PEM is read elsewhere\"",
		"auth = \"self_signed_tls_client_auth\"\njwks_uri = \"https://app.example/jwks\"",
	} {
		r, err := ParseRealm("x", with(auth+"\nprofile = \"fapi2\"\nredirect_uris = [\"https://app.example/cb\"]\n"))
		if err != nil {
			t.Errorf("%s: %v", auth, err)
			continue
		}
		rp := r.Relying[0]
		if !rp.RequirePAR || !rp.Strict() || rp.RequireDPoP != (rp.Auth == AuthPrivateKeyJWT) {
			t.Errorf("%s: %+v", auth, rp)
		}
	}
}

// Addresses that are fine, so that the long list of those that are not proves something.
func TestSEC_O2_AddressesThatMayBeRegistered(t *testing.T) {
	for _, uri := range []string{
		"https://app.example/cb", "https://app.example", "https://app.example:8443/a/b.c/d-e_f~g?x=1&y=2", "http://127.0.0.1/cb", "http://127.0.0.1:7000/cb",
		"http://[::1]/cb", "https://xn--bcher-kva.example/cb", "https://app.example/a;v=1/cb", "https://app.example/%C3%A4",
	} {
		if _, err := ParseRealm("x", with("auth = \"client_secret_post\"\nsecret_sha256 = \""+hash64+"\"\nredirect_uris = [\""+uri+"\"]\n")); err != nil {
			t.Errorf("%s: %v", uri, err)
		}
	}
	if _, err := ParseRealm("x", with("auth = \"none\"\nredirect_uris = [\"com.example.app:/cb\", \"http://127.0.0.1/cb\"]\n")); err != nil {
		t.Error(err)
	}
}

// A link and a guarded application need nothing of a client, and get nothing of one.
func TestREQ_B28_WithoutAuthItIsNoClient(t *testing.T) {
	r, err := ParseRealm("x", with("hosts = [\"wiki.app.example\"]\nfirst_party = true\n"))
	if err != nil {
		t.Fatal(err)
	}
	if rp := r.Relying[0]; rp.Auth != "" || len(rp.Grants)+len(rp.Scopes) > 0 || rp.IDTokenAlg != "" {
		t.Errorf("%+v", rp)
	}
}

// Which client shows a certificate, and where (RFC 8705 2, 5).
func TestSEC_O7_WhereCertificatesAreShown(t *testing.T) {
	const cb = "redirect_uris = [\"https://app.example/cb\"]\n"
	const ca = "auth = \"tls_client_auth\"\ntls_client_auth_ca = \"its PEM is read elsewhere\"\n" + cb
	for lines, host := range map[string]string{
		"":                       "",
		"auth = \"none\"\n" + cb: "",
		"auth = \"none\"\ntls_bound_tokens = true\n" + cb:                                     "mtls.login.tiny.example",
		"auth = \"none\"\ntls_bound_tokens = false\n" + cb:                                    "",
		ca + "tls_client_auth_subject_dn = \"CN=app\"\n":                                      "mtls.login.tiny.example",
		ca + "tls_client_auth_san_dns = \"app.example\"\n":                                    "mtls.login.tiny.example",
		ca + "tls_client_auth_san_uri = \"spiffe://app.example/a\"\n":                         "mtls.login.tiny.example",
		ca + "tls_client_auth_san_ip = \"2001:db8::7\"\n":                                     "mtls.login.tiny.example",
		ca + "tls_client_auth_san_email = \"app@app.example\"\n":                              "mtls.login.tiny.example",
		"auth = \"self_signed_tls_client_auth\"\njwks_uri = \"https://app.example/k\"\n" + cb: "mtls.login.tiny.example",
	} {
		r, err := ParseRealm("x", with(lines))
		if err != nil {
			t.Errorf("%s: %v", lines, err)
			continue
		}
		if r.MTLSHost() != host || host != "" && r.MTLSOrigin() != "https://"+host || host == "" && r.MTLSOrigin() != "" {
			t.Errorf("%s: %q, %q", lines, r.MTLSHost(), r.MTLSOrigin())
		}
	}
	r := Realm{Host: "login.example", Origin: "https://login.example:8443", Relying: []RelyingParty{{Auth: AuthSelfSignedTLS}}}
	if got := r.MTLSOrigin(); got != "https://mtls.login.example:8443" {
		t.Error(got)
	}
}

func TestSEC_O7_NamesOfACertificateThatAreRefused(t *testing.T) {
	const cb = "redirect_uris = [\"https://app.example/cb\"]\n"
	const ca = "tls_client_auth_ca = \"its PEM is read elsewhere\"\n"
	const tls = "auth = \"tls_client_auth\"\n" + cb
	for lines, want := range map[string]string{
		tls + ca: "auth is tls_client_auth: one of",
		tls + "tls_client_auth_subject_dn = \"CN=a\"\n":                                                     "tls_client_auth_ca: missing",
		tls + "tls_client_auth_ca = \" \"\ntls_client_auth_subject_dn = \"CN=a\"\n":                         "tls_client_auth_ca: missing",
		tls + ca + "tls_client_auth_subject_dn = \"\"\n":                                                    "subject_dn: missing or empty",
		tls + ca + "tls_client_auth_subject_dn = \"CN=a\"\ntls_client_auth_san_dns = \"a.example\"\n":       "san_dns: another name stands here already",
		tls + ca + "tls_client_auth_san_dns = \"*.example\"\n":                                              "san_dns: a host name",
		tls + ca + "tls_client_auth_san_dns = \"A.example\"\n":                                              "san_dns: a host name",
		tls + ca + "tls_client_auth_san_uri = \"app\"\n":                                                    "san_uri: a URI",
		tls + ca + "tls_client_auth_san_ip = \"192.0.2.07\"\n":                                              "san_ip: an address",
		tls + ca + "tls_client_auth_san_ip = \"2001:0db8::7\"\n":                                            "san_ip: an address",
		tls + ca + "tls_client_auth_san_email = \"app\"\n":                                                  "san_email: an e-mail address",
		"auth = \"none\"\n" + cb + ca:                                                                       "tls_client_auth_ca: auth is none",
		"auth = \"none\"\n" + cb + "tls_client_auth_san_dns = \"a.example\"\n":                              "tls_client_auth_san_dns: auth is none",
		"tls_bound_tokens = true\n":                                                                         "tls_bound_tokens: only for a client",
		tls + ca + "tls_client_auth_subject_dn = \"CN=a\"\nprofile = \"fapi2\"\ntls_bound_tokens = false\n": "tls_bound_tokens: profile fapi2 wants tokens bound to a key",
		"hosts = [\"mtls.login.tiny.example\"]\n":                                                           "is the host of the realm itself",
	} {
		if _, err := ParseRealm("x", with(lines)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", lines, err, want)
		}
	}
	taken := strings.Replace(smallest, "login.tiny.example", "mtls.tiny.example", 1)
	if _, err := ParseRealm("x", []byte(taken)); err == nil || !strings.Contains(err.Error(), "choose another name") {
		t.Errorf("a realm at a host where certificates are shown: %v", err)
	}
}

// Under FAPI 2.0 tokens are bound to a key, and which one is the client's choice.
func TestSEC_O6_TheStrictProfileTakesEitherKey(t *testing.T) {
	const jwt = "auth = \"private_key_jwt\"\njwks_uri = \"https://app.example/jwks\"\n"
	const tls = "auth = \"self_signed_tls_client_auth\"\njwks_uri = \"https://app.example/jwks\"\n"
	for _, c := range []struct {
		lines       string
		dpop, bound bool
	}{
		{jwt, true, false},
		{jwt + "tls_bound_tokens = true\n", false, true},
		{jwt + "tls_bound_tokens = true\nrequire_dpop = true\n", true, true},
		{jwt + "tls_bound_tokens = false\n", true, false},
		{tls, false, false}, // to the certificate, unless a request brings a DPoP proof
		{tls + "require_dpop = true\ntls_bound_tokens = false\n", true, false},
	} {
		r, err := ParseRealm("x", with(c.lines+"profile = \"fapi2\"\nredirect_uris = [\"https://app.example/cb\"]\n"))
		if err != nil {
			t.Errorf("%s: %v", c.lines, err)
		} else if rp := r.Relying[0]; rp.RequireDPoP != c.dpop || rp.TLSBoundTokens != c.bound {
			t.Errorf("%s: DPoP %v, certificate %v", c.lines, rp.RequireDPoP, rp.TLSBoundTokens)
		}
	}
}
