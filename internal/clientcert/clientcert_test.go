package clientcert

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"strings"
	"testing"
	"time"
)

func made(t *testing.T, key crypto.Signer, change func(*x509.Certificate)) string {
	t.Helper()
	c := &x509.Certificate{Subject: pkix.Name{CommonName: "CA"}, NotAfter: time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	change(c)
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// What may stand in tls_client_auth_ca, and in which words the rest is refused.
func TestSEC_O7_AnchorsOfAClient(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GODEBUG", "rsa1024min=0")
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	same := func(*x509.Certificate) {}
	good := made(t, key, same)
	for text, n := range map[string]int{good: 1, good + "\n\n" + good: 2, "\n" + good + "  \n": 1} {
		if all, err := Anchors(text); err != nil || len(all) != n {
			t.Errorf("%d certificates, %v", len(all), err)
		}
	}
	for text, want := range map[string]string{
		"": "empty", "CN=CA": "not PEM", good + "and so on": "not PEM", "# ours\n" + good: "not PEM",
		strings.ReplaceAll(good, "CERTIFICATE", "PRIVATE KEY"):                                                "holds a PRIVATE KEY",
		"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n":                                      "cannot be read",
		made(t, key, func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature }): "not the certificate of a CA",
		made(t, key, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }):                "not the certificate of a CA",
		made(t, short, same):                      "RSA key below 2048",
		strings.Repeat(good, maxAnchors+1):        "more than 20",
		strings.Repeat(good, maxText/len(good)+1): "longer than",
	} {
		if _, err := Anchors(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %s", text, err, want)
		}
	}
}
