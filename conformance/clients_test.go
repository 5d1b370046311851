package conformance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"doorward/internal/directory"
	"doorward/realms"
)

// client is an application as its developer knows it.
type client struct {
	id   string
	auth string // how it authenticates at the token endpoint
	alg  string // how its ID tokens are signed
	more string // further lines of its entry
	key  func() jose.JSONWebKey
}

// The clients. Each has a site of its own, with the same three addresses.
var (
	basic  = client{id: "basic", auth: "client_secret_basic", alg: "RS256"}
	second = client{id: "second", auth: "client_secret_basic", alg: "RS256"}
	post   = client{id: "post", auth: "client_secret_post", alg: "ES256"}
	signed = client{id: "signed", auth: "private_key_jwt", alg: "EdDSA", key: ecKey("signed")}
)

// declared are the clients of the realm file.
var declared = []client{basic, second, post, signed}

func (c client) origin() string   { return "https://" + c.id + clientDomain }
func (c client) callback() string { return c.origin() + "/callback" }
func (c client) goodbye() string  { return c.origin() + "/goodbye" }
func (c client) told() string     { return c.origin() + "/backchannel" }
func (c client) secret() string   { return "a random secret of 256 bits: " + c.id + " +&/=%" }

const clientDomain = ".client.example"

// ecKey is a key of a client, made when it is first asked for.
func ecKey(kid string) func() jose.JSONWebKey {
	return sync.OnceValue(func() jose.JSONWebKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		return jose.JSONWebKey{Key: k, KeyID: kid, Algorithm: "ES256", Use: "sig"}
	})
}

// entry is what the operator writes into the realm file.
func (c client) entry(t testing.TB) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "\n[[relying_party]]\nid = %q\nname = \"Client %s\"\nhome = %q\nauth = %q\nid_token_alg = %q\nfirst_party = true\n", c.id, c.id, c.origin()+"/", c.auth, c.alg)
	fmt.Fprintf(&b, "redirect_uris = [%q]\npost_logout_redirect_uris = [%q]\nbackchannel_logout_uri = %q\n", c.callback(), c.goodbye(), c.told())
	b.WriteString("grants = [\"authorization_code\", \"refresh_token\"]\nscopes = [\"openid\", \"profile\", \"email\", \"organization\", \"offline_access\"]\n")
	if strings.HasPrefix(c.auth, "client_secret_") {
		fmt.Fprintf(&b, "secret_sha256 = \"%x\"\n", sha256.Sum256([]byte(c.secret())))
	}
	if c.key != nil {
		k := c.key()
		set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{k.Public()}})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "jwks = '''%s'''\n", set)
	}
	return b.String() + c.more
}

// realm is the sample realm with our clients, read as the program reads it.
func realm(t testing.TB) directory.Realm {
	t.Helper()
	r, err := directory.ParseRealm("conformance.toml", []byte(realmText(t)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func realmText(t testing.TB) string {
	t.Helper()
	text := string(realms.Shop)
	for _, c := range declared {
		text += c.entry(t)
	}
	return text
}
