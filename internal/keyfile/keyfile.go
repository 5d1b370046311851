// Package keyfile makes the files in which a certificate travels to its device together with its key: PKCS #12 (RFC 7292)
// for every system, and a signed configuration profile for iPad and iPhone.
//
// Rules:
//   - Which encryption a file has follows from the system it is for: what a system cannot read is told to its owner as "wrong
//     password", which nobody can act on. The old algorithms protect little, so a file's strength rests on its password,
//     which is never chosen by anybody (secret.Said: 100 random bits; ASCII, since Java reads nothing else).
//   - The whole chain without the root goes into the file: a browser that cannot build the chain does not offer the certificate.
//   - A file's name says nothing about a person: it is seen in download lists and mailboxes (REQ A11).
package keyfile

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	"software.sslmate.com/src/go-pkcs12"

	"doorward/internal/fault"
)

// Target is the system a file is made for.
type Target string

// The targets. Widest is what everything reads: it is taken where nobody knows the system.
const (
	Windows Target = "windows"
	MacOS   Target = "macos"
	IOS     Target = "ios" // iPhone and iPad
	Android Target = "android"
	Linux   Target = "linux"
	Firefox Target = "firefox" // keeps its own certificates, on every system
	Widest  Target = "widest"
)

// Targets are all, in the order in which they are offered.
var Targets = []Target{Windows, MacOS, IOS, Android, Linux, Firefox, Widest}

// ParseTarget is the target of that name. Errors: fault.Invalid "target-unknown", in the field target.
func ParseTarget(s string) (Target, error) {
	if t := Target(s); slices.Contains(Targets, t) {
		return t, nil
	}
	return "", fault.New(fault.Invalid, "target-unknown").In("target")
}

// modern targets read AES-256 with SHA-256. Windows does since version 1709 of 10; Apple's and older Android's readers refuse
// it as a wrong password.
var modern = []Target{Windows, Linux, Firefox}

// Modern reports whether a system reads what browsers can make of a key: AES-256 with SHA-256. WebCrypto knows nothing older.
func (t Target) Modern() bool { return slices.Contains(modern, t) }

// PKCS12Type is the media type of a PKCS #12 file (RFC 7292 is silent; this is what browsers and mail programs know).
const PKCS12Type = "application/x-pkcs12"

// PKCS12 puts a key, its certificate and what it was signed by into a file that target can read. issuers go from the one that
// signed the certificate upwards; roots among them are left out. It fails when the key is not the certificate's, or when the
// password is empty or not ASCII, which some reader could not take.
func PKCS12(target Target, key crypto.Signer, certificate *x509.Certificate, issuers []*x509.Certificate, password string) ([]byte, error) {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(certificate.PublicKey) {
		return nil, fmt.Errorf("keyfile: the key is not that of certificate %x", certificate.SerialNumber)
	}
	if password == "" || strings.ContainsFunc(password, func(r rune) bool { return r < '!' || r > '~' }) {
		return nil, fmt.Errorf("keyfile: a password has to be of printable ASCII")
	}
	encoder := pkcs12.LegacyDES
	if target.Modern() {
		encoder = pkcs12.Modern2023
	}
	return encoder.Encode(key, certificate, Chain(issuers), password)
}

// Chain are the issuers without roots, which nobody takes from a file.
func Chain(issuers []*x509.Certificate) []*x509.Certificate {
	return slices.DeleteFunc(slices.Clone(issuers), func(c *x509.Certificate) bool {
		return string(c.RawIssuer) == string(c.RawSubject)
	})
}

// Name is the file's name: the realm's and the year's, which tell two files apart without a word about anybody.
func Name(realm string, year int, extension string) string {
	return fmt.Sprintf("%s-%d.%s", realm, year, extension)
}

// PEM is a certificate and its issuers as text, for who wants to look at them.
func PEM(certificates ...*x509.Certificate) []byte {
	var b strings.Builder
	for _, c := range certificates {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // a builder takes everything
	}
	return []byte(b.String())
}

// TargetOf is the target of a browser on a system, as far as they say who they are ("Firefox", "Windows").
func TargetOf(browser, system string) Target {
	switch {
	case browser == "Firefox" && system != "iOS" && system != "iPadOS":
		return Firefox
	case system == "iOS" || system == "iPadOS":
		return IOS
	}
	if t, err := ParseTarget(strings.ToLower(system)); err == nil {
		return t
	}
	return Widest
}
