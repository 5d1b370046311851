package token

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"doorward/internal/secret"
)

// Rules of DPoP proofs (RFC 9449 4.3).
//
//   - The key is in the header, public members only, of an algorithm of the list. It is believed to be nobody's: its
//     thumbprint is all that is taken from it.
//   - htm is the method, htu the address without query and fragment, both normalized (RFC 3986 6.2.2 and 6.2.3).
//   - iat is at most 60 s past and 10 s ahead (SEC O-6); jti works once per key and is spent by the caller.
//   - Beside an access token, ath is its hash.

// Window of a proof.
const (
	ProofPast  = 60 * time.Second
	ProofAhead = 10 * time.Second
)

// ProofAlgs are the algorithms of DPoP proofs, for discovery and for the check.
var ProofAlgs = []string{ES256, EdDSA, PS256}

// ProofRules are what a proof is checked against.
type ProofRules struct {
	Method      string
	URL         string   // of the endpoint as clients see it; query and fragment are not looked at
	AccessToken string   // that came along, empty at the token endpoint
	Nonces      []string // of which one must be in the proof; none where no nonce is asked for
	Now         time.Time
}

// Proof is a verified proof: the thumbprint of its key, and the single use to be spent.
type Proof struct {
	JKT  string
	Once Once
}

// VerifyProof checks a DPoP proof. The error is an *OAuthError "invalid_dpop_proof", or "use_dpop_nonce" when everything but
// the nonce holds.
func VerifyProof(raw string, r ProofRules) (Proof, error) {
	bad := func(description string, cause error) (Proof, error) {
		return Proof{}, Refuse(CodeInvalidProof, description).Because(cause)
	}
	e, err := open(raw)
	if err != nil {
		return bad("the proof is malformed", err)
	}
	if e.Typ != "dpop+jwt" || !slices.Contains(ProofAlgs, e.Alg) {
		return bad("the proof must have typ dpop+jwt and an allowed algorithm", errHeader)
	}
	key, err := proofKey(e.JWK)
	if err != nil || !e.verify(publicKey{alg: e.Alg, key: key}) {
		return bad("the proof is not signed by the public key in its header", errSignature)
	}
	var c struct {
		times
		ID     string `json:"jti"`
		Method string `json:"htm"`
		URL    string `json:"htu"`
		Hash   string `json:"ath"`
		Nonce  string `json:"nonce"`
	}
	if err := decode(e.payload, &c); err != nil {
		return bad("the proof is malformed", err)
	}
	if c.ID == "" || len(c.ID) > 512 {
		return bad("jti is missing or too long", errClaims)
	}
	if c.Method == "" || c.Method != r.Method {
		return bad("htm is not the method of this request", errClaims)
	}
	want, ok := normalized(r.URL)
	if have, fine := normalized(c.URL); !ok || !fine || have != want {
		return bad("htu is not the address of this request", errClaims)
	}
	if c.Issued == nil || c.Issued.time().Before(r.Now.Add(-ProofPast)) || c.Issued.time().After(r.Now.Add(ProofAhead)) ||
		c.valid(r.Now, ProofAhead) != nil {
		return bad("iat is missing or too far from now", errTimes)
	}
	if r.AccessToken != "" && !secret.Equal(c.Hash, AccessHash(r.AccessToken)) {
		return bad("ath is not the hash of the access token", errClaims)
	}
	if len(r.Nonces) > 0 && !slices.ContainsFunc(r.Nonces, func(n string) bool { return n != "" && secret.Equal(n, c.Nonce) }) {
		return Proof{}, Refuse(CodeUseNonce, "the proof must hold the nonce of the DPoP-Nonce header").Because(errClaims)
	}
	jkt, err := thumbprint(key)
	if err != nil {
		return bad("the proof is not signed by the public key in its header", err)
	}
	return Proof{JKT: jkt, Once: once("dpop", c.Issued.time().Add(ProofPast+ProofAhead), jkt, c.ID)}, nil
}

// AccessHash is the ath of an access token (RFC 9449 4.2).
func AccessHash(access string) string {
	sum := sha256.Sum256([]byte(access))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// proofKey reads the jwk of a proof: the members that make a public key, and none of a certificate, which nobody here
// would check.
func proofKey(raw json.RawMessage) (crypto.PublicKey, error) {
	var members map[string]json.RawMessage
	if raw == nil || decode(raw, &members) != nil || private(members) || len(members) > maxMembers {
		return nil, errHeader
	}
	bare := map[string]json.RawMessage{}
	for _, name := range []string{"kty", "crv", "x", "y", "n", "e", "alg"} {
		if v, there := members[name]; there {
			bare[name] = v
		}
	}
	b, err := json.Marshal(bare)
	if err != nil {
		return nil, err
	}
	var k jose.JSONWebKey
	if err := k.UnmarshalJSON(b); err != nil {
		return nil, err
	}
	if !k.IsPublic() || k.Algorithm != "" && !fits(k.Key, k.Algorithm) {
		return nil, errHeader
	}
	return k.Key, nil
}

// ProofNonces are the nonces of the minutes around now, the one to hand out first. They come from the key ring, so every
// node knows them and none stores them; a client that got one can use it for one to two spans.
func ProofNonces(ring *secret.Ring, realm string, now time.Time) []string {
	const spanSeconds = 120
	span := now.Unix() / spanSeconds
	out := make([]string, 2)
	for i := range out {
		s := span - int64(i)
		b := []byte{byte(s >> 40), byte(s >> 32), byte(s >> 24), byte(s >> 16), byte(s >> 8), byte(s)}
		out[i] = base64.RawURLEncoding.EncodeToString(ring.Hash("dpop-nonce", string(b)+realm)[:16])
	}
	return out
}

// normalized is an http address in the form of RFC 3986 6.2.2 and 6.2.3, without query and fragment.
func normalized(s string) (string, bool) {
	if len(s) > 2048 || strings.ContainsAny(s, "\\ \t\r\n") {
		return "", false
	}
	u, err := url.Parse(s)
	if err != nil || u.Opaque != "" || u.User != nil || u.Hostname() == "" {
		return "", false
	}
	scheme, host, port := lower(u.Scheme), lower(u.Hostname()), u.Port()
	if scheme != "https" && scheme != "http" {
		return "", false
	}
	if strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789.-_:") != "" {
		return "", false // an encoded letter, or the zone of an address
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "" && !(scheme == "https" && port == "443") && !(scheme == "http" && port == "80") {
		host += ":" + port
	}
	p, ok := unreserved(u.EscapedPath())
	if !ok {
		return "", false
	}
	if p == "" {
		p = "/"
	}
	if strings.Contains(p, "/./") || strings.Contains(p, "/../") || strings.HasSuffix(p, "/.") || strings.HasSuffix(p, "/..") {
		slash := strings.HasSuffix(p, "/") || strings.HasSuffix(p, "/.") || strings.HasSuffix(p, "/..")
		if p = path.Clean(p); slash && p != "/" {
			p += "/"
		}
	}
	return scheme + "://" + host + p, true
}

// unreserved decodes percent-encoded letters that need no encoding, and writes the others in upper case.
func unreserved(p string) (string, bool) {
	if !strings.Contains(p, "%") {
		return p, true
	}
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		if p[i] != '%' {
			b.WriteByte(p[i])
			continue
		}
		if i+2 >= len(p) {
			return "", false
		}
		one, err := url.PathUnescape(p[i : i+3])
		if err != nil {
			return "", false
		}
		if c := one[0]; c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			b.WriteString(strings.ToUpper(p[i : i+3]))
		}
		i += 2
	}
	return b.String(), true
}
