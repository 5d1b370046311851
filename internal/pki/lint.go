package pki

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"
	"golang.org/x/crypto/ocsp"
)

// Rules of linting: whatever is to be signed is read by somebody else's linter first, and by our own, which knows our profile
// (SEC C-1). A remark that is not in passed stops the issuance, also a mere warning: whoever changes a profile has to look.

// sources are whose rules count: the RFCs and the community's. Those of browsers and of the CA/Browser Forum are about servers.
var sources = lint.SourceList{lint.RFC3279, lint.RFC5280, lint.RFC5480, lint.RFC5891, lint.RFC6960, lint.RFC6962, lint.RFC8813, lint.Community}

// passed are the remarks that were looked at and found not to hold for us, with the reason.
var passed = map[string]string{
	// RFC 5280 8 would have CRLs fetched without TLS, because checking that TLS could need them. Ours is of another authority.
	"w_distribution_point_missing_ldap_or_uri": "a CRL may be behind https",
	"w_ext_aia_access_location_missing":        "so may an authority's certificate",
}

// registry is built once: it takes longer than a lint.
var registry = sync.OnceValues(func() (lint.Registry, error) {
	return lint.GlobalRegistry().Filter(lint.FilterOptions{IncludeSources: sources})
})

// remarks are what stops an issuance.
func remarks(run func(lint.Registry) *zlint.ResultSet) error {
	r, err := registry()
	if err != nil {
		return fmt.Errorf("pki: lint: %w", err)
	}
	var found []string
	for name, result := range run(r).Results {
		if _, ok := passed[name]; !ok && result.Status > lint.Pass {
			found = append(found, fmt.Sprintf("%s (%s) %s", name, result.Status, result.Details))
		}
	}
	if len(found) == 0 {
		return nil
	}
	slices.Sort(found)
	return errors.New("pki: the linter refuses it: " + strings.Join(found, "; "))
}

// lintCertificate reads a certificate as zlint does, and then as own does.
func lintCertificate(der []byte, own func(*x509.Certificate) error) error {
	c, err := zx509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("pki: lint: %w", err)
	}
	if err := remarks(func(r lint.Registry) *zlint.ResultSet { return zlint.LintCertificateEx(c, r) }); err != nil {
		return err
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("pki: lint: %w", err)
	}
	return own(parsed)
}

// lintCRL is lintCertificate for a CRL; its own rules stand in crl.go.
func lintCRL(der []byte) error {
	l, err := zx509.ParseRevocationList(der)
	if err != nil {
		return fmt.Errorf("pki: lint: %w", err)
	}
	return remarks(func(r lint.Registry) *zlint.ResultSet { return zlint.LintRevocationListEx(l, r) })
}

// lintAnswer is lintCertificate for a single OCSP answer.
func lintAnswer(a *ocsp.Response) error {
	return remarks(func(r lint.Registry) *zlint.ResultSet { return zlint.LintOcspResponseEx(a, r) })
}

// shape is what all our certificates have in common, beside what zlint looks at.
func shape(c *x509.Certificate, usage x509.KeyUsage, extended ...x509.ExtKeyUsage) error {
	switch {
	case c.Version != 3:
		return errors.New("pki: it is no certificate of version 3")
	case c.SerialNumber.Sign() != 1 || c.SerialNumber.BitLen() <= 8*(serialLen-1) || c.SerialNumber.BitLen() > 8*serialLen:
		return errors.New("pki: its serial number is not of 128 bits")
	case c.KeyUsage != usage || !slices.Equal(c.ExtKeyUsage, extended) || len(c.UnknownExtKeyUsage) > 0:
		return errors.New("pki: it may be used for something else")
	case !c.BasicConstraintsValid:
		return errors.New("pki: it does not say whether it may sign others")
	case len(c.SubjectKeyId) == 0 || len(c.AuthorityKeyId) == 0 && string(c.RawIssuer) != string(c.RawSubject):
		return errors.New("pki: its key, or its issuer's, is not named")
	case len(c.DNSNames)+len(c.EmailAddresses)+len(c.IPAddresses) > 0:
		return errors.New("pki: it names somebody by what is no device")
	case len(c.UnhandledCriticalExtensions) > 0:
		return errors.New("pki: it has a critical extension that nobody knows")
	}
	switch c.SignatureAlgorithm {
	case x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.SHA256WithRSA:
		return nil
	}
	return fmt.Errorf("pki: it is signed with %s", c.SignatureAlgorithm)
}

// own are our own rules for each profile.
func ownDevice(uri string) func(*x509.Certificate) error {
	return func(c *x509.Certificate) error {
		if err := shape(c, x509.KeyUsageDigitalSignature, x509.ExtKeyUsageClientAuth); err != nil {
			return err
		}
		switch {
		case c.IsCA:
			return errors.New("pki: a device is no authority")
		case len(c.URIs) != 1 || c.URIs[0].String() != uri:
			return errors.New("pki: it does not name the device it is for, and nothing else")
		case len(c.Subject.Names) != 2 || c.Subject.CommonName == "" || len(c.Subject.Organization) != 1:
			return errors.New("pki: its subject says more, or less, than the device and the realm")
		case len(c.CRLDistributionPoints) != 1 || len(c.OCSPServer) != 1 || len(c.IssuingCertificateURL) != 1:
			return errors.New("pki: it does not say where one can ask about it")
		case len(c.Extensions) != 8:
			return fmt.Errorf("pki: it has %d extensions", len(c.Extensions))
		}
		return nil
	}
}

func ownIssuing(c *x509.Certificate) error {
	if err := shape(c, x509.KeyUsageCertSign|x509.KeyUsageCRLSign, x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageOCSPSigning); err != nil {
		return err
	}
	if !c.IsCA || !c.MaxPathLenZero {
		return errors.New("pki: an issuing authority signs no other authority")
	}
	return nil
}

func ownRoot(c *x509.Certificate) error {
	if err := shape(c, x509.KeyUsageCertSign|x509.KeyUsageCRLSign); err != nil {
		return err
	}
	if !c.IsCA {
		return errors.New("pki: a root is an authority")
	}
	return nil
}

func ownResponder(c *x509.Certificate) error {
	if err := shape(c, x509.KeyUsageDigitalSignature, x509.ExtKeyUsageOCSPSigning); err != nil {
		return err
	}
	if c.IsCA || !slices.ContainsFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(noCheck.Id) }) {
		return errors.New("pki: a responder says that nobody asks about it, and signs nothing else")
	}
	return nil
}
