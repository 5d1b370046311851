package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"doorward/internal/fault"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

var at = PlacesAt("https://login.example.com")

// authority is a root and an issuing authority below it.
type authority struct {
	rootKey, key crypto.Signer
	root, cert   *x509.Certificate
	row          Authority
}

func newAuthority(t testing.TB) authority {
	t.Helper()
	var a authority
	var err error
	must := func(e error) {
		t.Helper()
		if e != nil {
			t.Fatal(e)
		}
	}
	a.rootKey, _, err = NewKey(Root)
	must(err)
	der, err := MakeRoot(a.rootKey, "Meridian root", "Meridian Wealth AG", noon)
	must(err)
	a.root, err = x509.ParseCertificate(der)
	must(err)
	a.key, _, err = NewKey(Issuing)
	must(err)
	subject, err := IssuingSubject("Meridian Wealth", "Meridian Wealth AG", a.key.Public(), noon)
	must(err)
	ask, err := AskIssuing(a.key, subject)
	must(err)
	request, err := x509.ParseCertificateRequest(ask)
	must(err)
	der, err = SignIssuing(request, a.root, a.rootKey, noon)
	must(err)
	a.cert, err = x509.ParseCertificate(der)
	must(err)
	must(CheckIssuing(a.cert, a.root, a.key.Public(), noon))
	hash, err := KeyHash(a.key.Public())
	must(err)
	a.row = Authority{ID: "authority-1", Realm: "wealth", Class: Issuing, SPKI: hash, SHA256: Hash(der), DER: der, Parts: 1, NotBefore: a.cert.NotBefore, NotAfter: a.cert.NotAfter, State: Signs}
	return a
}

func (a authority) device(change ...func(*Certificate)) Certificate {
	c := Certificate{
		ID: "c1", Realm: "wealth", Person: "0195-p", Device: "0195-d", Name: "Laptop", Authority: a.row.ID, Issuer: a.row.SPKI, Serial: NewSerial(),
		NotBefore: noon.Add(-Backdated), NotAfter: noon.AddDate(0, 0, 730),
	}
	for _, ch := range change {
		ch(&c)
	}
	return c
}

func deviceKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// The profile, by what another reader finds in it.
func TestSEC_C1_TheCertificateOfADevice(t *testing.T) {
	a, key := newAuthority(t), deviceKey(t)
	row := a.device(func(c *Certificate) { c.Part = 3 })
	d, err := Device(row, key.Public(), a.cert, "Meridian Wealth", at)
	if err != nil {
		t.Fatal(err)
	}
	der, err := d.Sign(a.key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if Hash(c.RawTBSCertificate) != d.TBS() {
		t.Error("what was signed is not what was linted")
	}
	for what, ok := range map[string]bool{
		"subject":      c.Subject.String() == "CN=Laptop 2026-11,O=Meridian Wealth",
		"uri":          len(c.URIs) == 1 && c.URIs[0].String() == "urn:doorward:wealth:0195-p:0195-d",
		"serial":       SerialText(c.SerialNumber) == row.Serial && len(row.Serial) == 32,
		"life":         c.NotBefore.Equal(row.NotBefore) && c.NotAfter.Equal(row.NotAfter),
		"key usage":    c.KeyUsage == x509.KeyUsageDigitalSignature,
		"extended":     slices.Equal(c.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}) && c.UnknownExtKeyUsage == nil,
		"no authority": c.BasicConstraintsValid && !c.IsCA,
		"crl":          slices.Equal(c.CRLDistributionPoints, []string{"https://login.example.com/pki/crl/authority-1/3"}),
		"ocsp":         slices.Equal(c.OCSPServer, []string{"https://login.example.com/pki/ocsp"}),
		"issuer":       slices.Equal(c.IssuingCertificateURL, []string{"https://login.example.com/pki/ca/authority-1.crt"}),
	} {
		if !ok {
			t.Errorf("%s: %+v", what, c)
		}
	}
	roots, middle := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(a.root)
	middle.AddCert(a.cert)
	for usage, want := range map[x509.ExtKeyUsage]bool{x509.ExtKeyUsageClientAuth: true, x509.ExtKeyUsageServerAuth: false, x509.ExtKeyUsageEmailProtection: false} {
		_, err := c.Verify(x509.VerifyOptions{Roots: roots, Intermediates: middle, CurrentTime: noon, KeyUsages: []x509.ExtKeyUsage{usage}})
		if want != (err == nil) {
			t.Errorf("usage %d: %v", usage, err)
		}
	}
}

// A name that would be another device's, a serial number that is short, a device without a name: nothing of the kind is drafted.
func TestSEC_C1_WhatDoesNotFitTheProfileIsNotDrafted(t *testing.T) {
	a, key := newAuthority(t), deviceKey(t)
	if _, err := Device(a.device(), key.Public(), a.cert, "Meridian", at); err != nil {
		t.Fatal(err)
	}
	long := a.device(func(c *Certificate) { c.Name = strings.Repeat("ü", 300) })
	if d, err := Device(long, key.Public(), a.cert, strings.Repeat("ß", 300), at); err != nil || len([]rune(d.template.Subject.CommonName)) != 64 || len([]rune(d.template.Subject.Organization[0])) != 64 {
		t.Errorf("a long name: %v", err)
	}
	for name, c := range map[string]Certificate{
		"another's name":    a.device(func(c *Certificate) { c.Person = "p:d"; c.Device = "x" }),
		"no device":         a.device(func(c *Certificate) { c.Device = "" }),
		"a blank in an id":  a.device(func(c *Certificate) { c.Device = "a b" }),
		"short serial":      a.device(func(c *Certificate) { c.Serial = "00ff" }),
		"small serial":      a.device(func(c *Certificate) { c.Serial = strings.Repeat("0", 16) + strings.Repeat("f", 16) }),
		"no name":           a.device(func(c *Certificate) { c.Name = " \t" }),
		"ends before it is": a.device(func(c *Certificate) { c.NotAfter = c.NotBefore.Add(-time.Hour) }),
	} {
		if _, err := Device(c, key.Public(), a.cert, "Meridian", at); err == nil {
			t.Errorf("%s: drafted", name)
		}
	}
}

// The linters do refuse: each own rule is broken once, on what the profile makes.
func TestSEC_C1_TheLintersRefuse(t *testing.T) {
	a, key := newAuthority(t), deviceKey(t)
	row := a.device()
	good := func() *x509.Certificate {
		c, err := deviceTemplate(row, "Meridian", at)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	uri := DeviceURI(row.Realm, row.Person, row.Device)
	if _, err := drafts(good(), a.cert, key.Public(), ownDevice(uri)); err != nil {
		t.Fatal(err)
	}
	other, err := (Certificate{Realm: "wealth", Person: "x", Device: "y"}).device()
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*x509.Certificate){
		"server authentication":  func(c *x509.Certificate) { c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) },
		"any usage":              func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} },
		"no usage":               func(c *x509.Certificate) { c.ExtKeyUsage = nil },
		"signs others":           func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign },
		"an authority":           func(c *x509.Certificate) { c.IsCA = true },
		"no basic constraints":   func(c *x509.Certificate) { c.BasicConstraintsValid = false },
		"a host":                 func(c *x509.Certificate) { c.DNSNames = []string{"login.example.com"} },
		"an address of mail":     func(c *x509.Certificate) { c.EmailAddresses = []string{"max@example.com"} },
		"another device":         func(c *x509.Certificate) { c.URIs[0] = other },
		"two devices":            func(c *x509.Certificate) { c.URIs = append(c.URIs, other) },
		"a subject that says it": func(c *x509.Certificate) { c.Subject.OrganizationalUnit = []string{"owner"} },
		"no CRL":                 func(c *x509.Certificate) { c.CRLDistributionPoints = nil },
		"no responder":           func(c *x509.Certificate) { c.OCSPServer = nil },
		"one thing more": func(c *x509.Certificate) {
			c.PolicyIdentifiers = nil
			c.ExtraExtensions = append(c.ExtraExtensions, noCheck)
		},
	} {
		c := good()
		change(c)
		if _, err := drafts(c, a.cert, key.Public(), ownDevice(uri)); err == nil {
			t.Errorf("%s: passed", name)
		}
	}
	// zlint's own remarks stop one as well: a subject key identifier is missing.
	bare := good()
	der, err := x509.CreateCertificate(rand.Reader, bare, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if err := lintCertificate(der, func(*x509.Certificate) error { return nil }); err == nil || !strings.Contains(err.Error(), "w_ext_subject_key_identifier_missing_sub_cert") {
		t.Errorf("zlint says %v", err)
	}
}

// A key that is not the authority's signs nothing, and what was changed between draft and signature neither.
func TestSEC_C1_OnlyWhatWasLintedIsSigned(t *testing.T) {
	a, b, key := newAuthority(t), newAuthority(t), deviceKey(t)
	d, err := Device(a.device(), key.Public(), a.cert, "Meridian", at)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Sign(b.key); err == nil {
		t.Error("another key signed")
	}
	d.template.NotAfter = d.template.NotAfter.Add(time.Second)
	if _, err := d.Sign(a.key); err == nil || !strings.Contains(err.Error(), "not what was linted") {
		t.Errorf("a change after the lint: %v", err)
	}
}

// An authority with an RSA key, as an operator's own may have, works as one with ECDSA does.
func TestREQ_A57_AnAuthorityMayHaveAnRSAKey(t *testing.T) {
	a, key := newAuthority(t), deviceKey(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	subject, err := IssuingSubject("Meridian", "Meridian", rsaKey.Public(), noon)
	if err != nil {
		t.Fatal(err)
	}
	ask, err := AskIssuing(rsaKey, subject)
	if err != nil {
		t.Fatal(err)
	}
	request, err := x509.ParseCertificateRequest(ask)
	if err != nil {
		t.Fatal(err)
	}
	der, err := SignIssuing(request, a.root, a.rootKey, noon)
	if err != nil {
		t.Fatal(err)
	}
	a.cert, err = x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	d, err := Device(a.device(), key.Public(), a.cert, "Meridian", at)
	if err != nil {
		t.Fatal(err)
	}
	if der, err = d.Sign(rsaKey); err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil || c.CheckSignatureFrom(a.cert) != nil || c.SignatureAlgorithm != x509.SHA256WithRSA {
		t.Errorf("%v %v", c.SignatureAlgorithm, err)
	}
}

// What an operator's own root signs is looked at before it is used.
func TestREQ_A57_AnImportedAuthorityMustFit(t *testing.T) {
	a, b := newAuthority(t), newAuthority(t)
	for name, change := range map[string]func(*x509.Certificate){
		"signs authorities":  func(c *x509.Certificate) { c.MaxPathLenZero, c.MaxPathLen = false, 3 },
		"no limit":           func(c *x509.Certificate) { c.MaxPathLenZero, c.MaxPathLen = false, -1 },
		"no authority":       func(c *x509.Certificate) { c.IsCA = false; c.MaxPathLenZero = false },
		"no CRLs":            func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign },
		"servers only":       func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} },
		"nobody may answer":  func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} },
		"half a year":        func(c *x509.Certificate) { c.NotAfter = noon.AddDate(0, 6, 0) },
		"not yet":            func(c *x509.Certificate) { c.NotBefore = noon.AddDate(0, 0, 1) },
		"nobody's name":      func(c *x509.Certificate) { c.Subject.CommonName = "" },
		"nothing is changed": nil,
	} {
		template := issuingTemplate(a.cert.Subject, noon, a.root.NotAfter)
		template.SerialNumber = a.cert.SerialNumber
		if change != nil {
			change(template)
		}
		der, err := x509.CreateCertificate(rand.Reader, template, a.root, a.key.Public(), a.rootKey)
		if err != nil {
			t.Fatal(name, err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckIssuing(c, a.root, a.key.Public(), noon); (err == nil) != (change == nil) || err != nil && fault.As(err).Code != "authority-unfit" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if CheckIssuing(a.cert, b.root, a.key.Public(), noon) == nil {
		t.Error("signed by another root")
	}
	if CheckIssuing(a.cert, a.root, b.key.Public(), noon) == nil {
		t.Error("for another key")
	}
}

func TestWordsForThePhone(t *testing.T) {
	if len(spoken) != 256 {
		t.Fatalf("%d words", len(spoken))
	}
	seen := map[string]bool{}
	for i, w := range spoken {
		if seen[w] || strings.Trim(w, "abcdefghijklmnopqrstuvwxyz") != "" || len(w) < 3 {
			t.Errorf("%q", w)
		}
		seen[w] = true
		for _, other := range spoken[:i] {
			if near(w, other) {
				t.Errorf("%q and %q differ by a letter", w, other)
			}
		}
	}
	a, b := Words([]byte("a certificate")), Words([]byte("another"))
	if len(a) != 6 || slices.Equal(a, b) || !slices.Equal(a, Words([]byte("a certificate"))) {
		t.Errorf("%q, %q", a, b)
	}
}

// near reports whether one change, removal or addition of a letter makes one word the other.
func near(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) == len(b) {
		return i == len(a) || a[i+1:] == b[i+1:]
	}
	return a[i:] == b[i+1:]
}

func TestSerialNumbersAreRandom(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		s := NewSerial()
		n, err := serialNumber(s)
		if err != nil || seen[s] || len(s) != 32 || SerialText(n) != s || s[:2] == "00" {
			t.Fatal(s, err)
		}
		seen[s] = true
	}
}
