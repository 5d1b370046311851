package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"math/big"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The profiles: what is in a certificate of each kind, and nothing else. They are RFC 5280 with one choice where it leaves
// several; docs/pki.md shows them.

// Lifetimes.
const (
	Backdated     = 5 * time.Minute     // NotBefore: devices whose clock is a little behind
	rootYears     = 20                  // of a root
	issuingYears  = 6                   // of an issuing authority
	responderDays = 30                  // of a responder, which nobody can revoke (RFC 6960 4.2.2.2.1)
	CRLValid      = 24 * time.Hour      // of a CRL
	CRLEvery      = CRLValid / 4        // and when the next one is made, revocations or not
	AnswerValid   = 8 * time.Hour       // of an OCSP answer
	ResponderLeft = 10 * 24 * time.Hour // when the next responder is made
	AuthorityLeft = 3 * 365 * day       // when an issuing authority should be followed by the next
	day           = 24 * time.Hour      //
	subjectMax    = 64                  // letters of a name (RFC 5280 A.1, ub-common-name, ub-organization-name)
	uriPrefix     = "urn:doorward:"     // of a device's name
	serialLen     = 16                  // bytes of a serial number, all of them random
	rfc3339Month  = "2006-01"           // what tells the old certificate of a device from the new one in a browser's chooser
)

// DeviceURI names a device of a person in a certificate. The parts are ids, of letters, digits, "-", "." and "_".
func DeviceURI(realm, person, device string) string {
	return uriPrefix + realm + ":" + person + ":" + device
}

// device is the DeviceURI of a row as a URL, or an error where an id holds anything else than DeviceURI allows: a colon
// would make one person's name another's.
func (c Certificate) device() (*url.URL, error) {
	for _, id := range []string{c.Realm, c.Person, c.Device} {
		if id == "" || strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") != "" {
			return nil, fmt.Errorf("pki: %q cannot be part of a device's name", id)
		}
	}
	return url.Parse(DeviceURI(c.Realm, c.Person, c.Device))
}

// NewSerial is a fresh serial number of 128 random bits, as Certificate.Serial holds it. It is never zero.
func NewSerial() string {
	b := make([]byte, serialLen)
	for b[0] == 0 { // and always of full length, so that it reads the same everywhere
		rand.Read(b) // never fails
	}
	return hex.EncodeToString(b)
}

// SerialText is a serial number as Certificate.Serial holds it.
func SerialText(n *big.Int) string { return fmt.Sprintf("%032x", n) }

func serialNumber(text string) (*big.Int, error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != serialLen {
		return nil, fmt.Errorf("pki: %q is no serial number", text)
	}
	return new(big.Int).SetBytes(b), nil
}

// Hash is a SHA-256 as rows hold it: hex.
func Hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// KeyHash is the Hash of a public key's SubjectPublicKeyInfo.
func KeyHash(public crypto.PublicKey) (string, error) {
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", fmt.Errorf("pki: %w", err)
	}
	return Hash(spki), nil
}

// keyID is the key identifier of RFC 7093 2, method 1.
func keyID(public crypto.PublicKey) ([]byte, error) {
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("pki: %w", err)
	}
	bits, err := keyBits(spki)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(bits)
	return sum[:20], nil
}

// keyBits is what a SubjectPublicKeyInfo holds of the key: what key identifiers and OCSP requests are made of.
func keyBits(spki []byte) ([]byte, error) {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(spki, &info); err != nil {
		return nil, fmt.Errorf("pki: %w", err)
	}
	return info.Key.RightAlign(), nil
}

// Places are where those who do not ask our database find what is published.
type Places struct{ base string }

// PlacesAt are those under an address such as https://login.example.com.
func PlacesAt(base string) Places { return Places{strings.TrimSuffix(base, "/")} }

// Authority is where an authority's certificate is, CRL where a part of its CRL is, and OCSP who answers for it.
func (p Places) Authority(id string) string { return p.base + "/pki/ca/" + id + ".crt" }

// CRL is where a part of an authority's CRL is.
func (p Places) CRL(id string, part int) string {
	return p.base + "/pki/crl/" + id + "/" + strconv.Itoa(part)
}

// OCSP is the address of the responder.
func (p Places) OCSP() string { return p.base + "/pki/ocsp" }

// Certificate returns the parsed certificate of an authority.
func (a Authority) Certificate() (*x509.Certificate, error) {
	c, err := x509.ParseCertificate(a.DER)
	if err != nil {
		return nil, fmt.Errorf("pki: the certificate of authority %s: %w", a.ID, err)
	}
	return c, nil
}

// short cuts a name to what fits, between letters.
func short(name string, most int) string {
	r := []rune(strings.Join(strings.Fields(name), " "))
	if len(r) > most {
		r = r[:most]
	}
	return strings.TrimSpace(string(r))
}

// deviceTemplate is the certificate of a device (TLS client authentication). A chooser shows the common name and the
// organization: the device with the month, and the realm. Nothing else of its owner is in it.
func deviceTemplate(c Certificate, realm string, at Places) (*x509.Certificate, error) {
	serial, err := serialNumber(c.Serial)
	if err != nil {
		return nil, err
	}
	uri, err := c.device()
	if err != nil {
		return nil, err
	}
	month := " " + c.NotBefore.Format(rfc3339Month)
	name := short(c.Name, subjectMax-len(month))
	if name == "" || short(realm, subjectMax) == "" {
		return nil, fmt.Errorf("pki: a device and its realm have names")
	}
	return &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: name + month, Organization: []string{short(realm, subjectMax)}},
		NotBefore:             c.NotBefore,
		NotAfter:              c.NotAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		URIs:                  []*url.URL{uri},
		CRLDistributionPoints: []string{at.CRL(c.Authority, c.Part)},
		OCSPServer:            []string{at.OCSP()},
		IssuingCertificateURL: []string{at.Authority(c.Authority)},
	}, nil
}

// rootTemplate is a trust anchor. It signs issuing authorities and nothing between.
func rootTemplate(name, organization string, now time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: short(name, subjectMax), Organization: []string{short(organization, subjectMax)}},
		NotBefore:             now.Add(-Backdated),
		NotAfter:              now.AddDate(rootYears, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLen:            1,
	}
}

// issuingTemplate is an authority that signs certificates of devices and of responders, and nothing else: the extended key
// usages constrain what hangs below it.
func issuingTemplate(subject pkix.Name, now, until time.Time) *x509.Certificate {
	end := now.AddDate(issuingYears, 0, 0)
	if end.After(until) {
		end = until
	}
	return &x509.Certificate{
		Subject:               subject,
		NotBefore:             now.Add(-Backdated),
		NotAfter:              end,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageOCSPSigning},
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
}

// noCheck is id-pkix-ocsp-nocheck (RFC 6960 4.2.2.2.1): nobody asks about the one who answers.
var noCheck = pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}, Value: []byte{5, 0}}

// responderTemplate is a delegated OCSP responder (RFC 6960 4.2.2.2). It lives for weeks, since it is never revoked.
func responderTemplate(name, organization string, authority *x509.Certificate, id string, at Places, now time.Time) *x509.Certificate {
	end := now.AddDate(0, 0, responderDays)
	if end.After(authority.NotAfter) {
		end = authority.NotAfter
	}
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: short(name, subjectMax), Organization: []string{short(organization, subjectMax)}},
		NotBefore:             now.Add(-Backdated),
		NotAfter:              end,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning},
		BasicConstraintsValid: true,
		ExtraExtensions:       []pkix.Extension{noCheck},
		IssuingCertificateURL: []string{at.Authority(id)},
	}
}
