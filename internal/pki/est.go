package pki

import (
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"

	"doorward/internal/fault"
)

// Request is what a device sent by EST (RFC 7030). Challenge is its challengePassword, by which a client ties the request to
// the connection (RFC 7030 3.5); Bound says that there is one.
type Request struct {
	Key       crypto.PublicKey
	Challenge string
	Bound     bool
}

// ReadEST reads the body of an enrolment by EST: base64 of DER and nothing else (RFC 7030 4.2.1; RFC 8951 3.1). It fails as
// ReadRequest does, and with fault.Invalid "csr-base64" for what is no base64, PEM among it.
func ReadEST(sent []byte) (Request, error) {
	if len(sent) > RequestMax {
		return Request{}, fault.New(fault.Invalid, "csr-size", "most", RequestMax)
	}
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(sent)), ""))
	if err != nil || len(der) == 0 {
		return Request{}, fault.New(fault.Invalid, "csr-base64").Because(err)
	}
	if der[0] != byte(cryptobyte_asn1.SEQUENCE) { // or it could be a PEM file in base64
		return Request{}, fault.New(fault.Invalid, "csr-form")
	}
	key, err := ReadRequest(der)
	if err != nil {
		return Request{}, err
	}
	r, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return Request{}, fault.New(fault.Invalid, "csr-form").Because(err)
	}
	out := Request{Key: key}
	if out.Challenge, out.Bound, err = challenge(r.RawTBSCertificateRequest); err != nil {
		return Request{}, err
	}
	return out, nil
}

var challengePassword = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 7} // RFC 2985 5.4.1

// challenge finds the challengePassword among a request's attributes (RFC 2986 4.1). Two of them are as wrong as one of a kind
// that is no text.
func challenge(tbs []byte) (text string, found bool, err error) {
	broken := fault.New(fault.Invalid, "csr-form")
	in := cryptobyte.String(tbs)
	var info, attributes cryptobyte.String
	var there bool
	if !in.ReadASN1(&info, cryptobyte_asn1.SEQUENCE) || !info.SkipASN1(cryptobyte_asn1.INTEGER) || !info.SkipASN1(cryptobyte_asn1.SEQUENCE) ||
		!info.SkipASN1(cryptobyte_asn1.SEQUENCE) || !info.ReadOptionalASN1(&attributes, &there, cryptobyte_asn1.Tag(0).Constructed().ContextSpecific()) {
		return "", false, broken
	}
	for !attributes.Empty() {
		var one, values, value cryptobyte.String
		var kind asn1.ObjectIdentifier
		if !attributes.ReadASN1(&one, cryptobyte_asn1.SEQUENCE) || !one.ReadASN1ObjectIdentifier(&kind) {
			return "", false, broken
		}
		if !kind.Equal(challengePassword) {
			continue
		}
		var tag cryptobyte_asn1.Tag
		if found || !one.ReadASN1(&values, cryptobyte_asn1.SET) || !values.ReadAnyASN1(&value, &tag) || !values.Empty() ||
			tag != cryptobyte_asn1.PrintableString && tag != cryptobyte_asn1.UTF8String && tag != cryptobyte_asn1.IA5String {
			return "", false, broken
		}
		text, found = string(value), true
	}
	return text, found, nil
}

var (
	signedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2} // RFC 5652 5.1
	plainData  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
)

// CertsOnly is certificates in a message that is signed by nobody (RFC 5652, RFC 5272 4.1), as EST hands them over.
func CertsOnly(certificates ...[]byte) ([]byte, error) {
	var b cryptobyte.Builder
	outer := cryptobyte_asn1.Tag(0).Constructed().ContextSpecific()
	b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(signedData)
		b.AddASN1(outer, func(b *cryptobyte.Builder) {
			b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(1)
				b.AddASN1(cryptobyte_asn1.SET, func(*cryptobyte.Builder) {}) // no digests
				b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(plainData) })
				b.AddASN1(outer, func(b *cryptobyte.Builder) {
					for _, der := range certificates {
						b.AddBytes(der)
					}
				})
				b.AddASN1(cryptobyte_asn1.SET, func(*cryptobyte.Builder) {}) // no signers
			})
		})
	})
	return b.Bytes()
}

// Attributes is what a client is told to put into its request (RFC 7030 4.5.2): a key on P-256. It is advice; what is accepted
// says CheckKey.
func Attributes() ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}) // id-ecPublicKey
			b.AddASN1(cryptobyte_asn1.SET, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}) // P-256
			})
		})
	})
	return b.Bytes()
}
