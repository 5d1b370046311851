package token

import (
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"

	"doorward/internal/secret"
)

// Confirmation binds a token to a key: of a DPoP proof (RFC 9449 6.1), of a client certificate (RFC 8705 3.1), or both.
type Confirmation struct {
	JKT string `json:"jkt,omitempty"`
	X5T string `json:"x5t#S256,omitempty"`
}

// Bind makes a Confirmation, nil where there is no key at all.
func Bind(jkt, x5t string) *Confirmation {
	if jkt == "" && x5t == "" {
		return nil
	}
	return &Confirmation{JKT: jkt, X5T: x5t}
}

// Held checks what came along with a token: the thumbprint of the key of a verified proof and of the certificate of the
// connection, empty for none. Everything that the token names must have come (SEC O-6). A proof beside a token that is
// bound to no key is refused as well: who sends it believes in a protection that is not there (RFC 9449 7.1).
func (c *Confirmation) Held(jkt, x5t string) error {
	var want Confirmation
	if c != nil {
		want = *c
	}
	if want.JKT != "" || jkt != "" {
		if want.JKT == "" || jkt == "" || !secret.Equal(want.JKT, jkt) {
			return Refuse(CodeInvalidToken, "the token is not bound to the key of this proof")
		}
	}
	if want.X5T != "" && (x5t == "" || !secret.Equal(want.X5T, x5t)) {
		return Refuse(CodeInvalidToken, "the token is bound to another client certificate")
	}
	return nil
}

// CertificateThumbprint is the x5t#S256 of a certificate in DER (RFC 8705 3.1).
func CertificateThumbprint(der []byte) string {
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// SubjectDN is the subject of a certificate as RFC 4514 writes it, the form in which tls_client_auth_subject_dn is kept.
// Two certificates with the same attributes in another order or grouping have different names. It is empty for a subject
// that cannot be read or has no name at all.
func SubjectDN(cert *x509.Certificate) string {
	var name pkix.RDNSequence
	if rest, err := asn1.Unmarshal(cert.RawSubject, &name); err != nil || len(rest) > 0 {
		return ""
	}
	return name.String()
}
