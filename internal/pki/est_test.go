package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/smallstep/pkcs7"

	"doorward/internal/fault"
)

// tied is a request that has these challengePasswords among its attributes, signed by hand: crypto/x509 makes none such.
func tied(t testing.TB, words ...string) []byte {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "Somebody else"}, DNSNames: []string{"login.example.com"},
	}, key)
	must(err)
	if len(words) == 0 {
		return der
	}
	type info struct {
		Version    int
		Subject    asn1.RawValue
		Key        asn1.RawValue
		Attributes []asn1.RawValue `asn1:"tag:0,set"`
	}
	var outer struct {
		Info      info
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	_, err = asn1.Unmarshal(der, &outer)
	must(err)
	for _, w := range words {
		raw, err := asn1.Marshal(struct {
			Type  asn1.ObjectIdentifier
			Value []asn1.RawValue `asn1:"set"`
		}{challengePassword, []asn1.RawValue{{Tag: asn1.TagUTF8String, Bytes: []byte(w)}}})
		must(err)
		outer.Info.Attributes = append(outer.Info.Attributes, asn1.RawValue{FullBytes: raw})
	}
	signed, err := asn1.Marshal(outer.Info)
	must(err)
	sum := sha256.Sum256(signed)
	signature, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	must(err)
	outer.Signature = asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}
	der, err = asn1.Marshal(outer)
	must(err)
	return der
}

func TestSEC_C6_OfARequestByESTKeyAndBindingCount(t *testing.T) {
	plain := base64.StdEncoding.EncodeToString(tied(t))
	lines := plain[:64] + "\r\n" + plain[64:] + "\n"
	for _, sent := range []string{plain, lines} {
		if r, err := ReadEST([]byte(sent)); err != nil || r.Key == nil || r.Bound {
			t.Errorf("%+v, %v", r, err)
		}
	}
	if r, err := ReadEST([]byte(base64.StdEncoding.EncodeToString(tied(t, "tls-unique")))); err != nil || !r.Bound || r.Challenge != "tls-unique" {
		t.Errorf("a request that is tied: %+v, %v", r, err)
	}
	inPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: tied(t)})
	other := tied(t)
	other[len(other)-1] ^= 1
	for name, c := range map[string]struct{ sent, code string }{
		"PEM":                 {string(inPEM), "csr-base64"},
		"PEM in base64":       {base64.StdEncoding.EncodeToString(inPEM), "csr-form"},
		"DER":                 {string(tied(t)), "csr-base64"},
		"nothing":             {" \n", "csr-base64"},
		"cut short":           {plain[:len(plain)-3], "csr-base64"},
		"cut short, whole":    {plain[:len(plain)/8*4], "csr-form"},
		"another signature":   {base64.StdEncoding.EncodeToString(other), "csr-signature"},
		"tied twice":          {base64.StdEncoding.EncodeToString(tied(t, "a", "b")), "csr-form"},
		"longer than we read": {strings.Repeat("A", RequestMax+1), "csr-size"},
	} {
		if r, err := ReadEST([]byte(c.sent)); !fault.Of(err, fault.Invalid) || fault.As(err).Code != c.code || r.Key != nil {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
}

// What devices get is read by another program's hands.
func TestSEC_C6_CertificatesThatNobodySigned(t *testing.T) {
	var ders [][]byte
	for range 3 {
		key, _, err := NewKey(Root)
		if err != nil {
			t.Fatal(err)
		}
		der, err := MakeRoot(key, "Sample Root", "Sample", noon)
		if err != nil {
			t.Fatal(err)
		}
		ders = append(ders, der)
	}
	message, err := CertsOnly(ders...)
	if err != nil {
		t.Fatal(err)
	}
	read, err := pkcs7.Parse(message)
	if err != nil || len(read.Certificates) != len(ders) || len(read.Signers) != 0 {
		t.Fatalf("%v, %+v", err, read)
	}
	for i, c := range read.Certificates {
		if !bytes.Equal(c.Raw, ders[i]) {
			t.Errorf("certificate %d is another one", i)
		}
	}
}

func FuzzReadEST(f *testing.F) {
	f.Add(tied(f))
	f.Add(tied(f, "a"))
	f.Fuzz(func(t *testing.T, der []byte) {
		r, err := ReadEST([]byte(base64.StdEncoding.EncodeToString(der)))
		if err == nil && (r.Key == nil || CheckKey(r.Key) != nil) {
			t.Errorf("accepted: %x", der)
		}
	})
}
