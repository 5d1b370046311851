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
		"auth = \"tls_client_auth\"\ntls_client_auth_subject_dn = \"CN=app.example,O=Example\"",
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
