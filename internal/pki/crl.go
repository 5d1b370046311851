package pki

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Rules of CRLs (RFC 5280 5): they are for those who do not ask our database. A CRL holds for a day at most and is made anew
// long before; numbers rise by one; what is revoked stays on it until it has run out, and a day longer. Where an authority
// has several parts, each says which it is (5.2.5), so that one part cannot be shown instead of another.

// CRLKept is how long a certificate stays on CRLs after it has run out.
const CRLKept = CRLValid

// PartMost is how many certificates a part of a CRL speaks of before new ones are spread among twice as many parts: about
// 190 KB. PartsMost is where that ends.
const (
	PartMost  = 5000
	PartsMost = 128
)

// PartOf is the part of a serial number among so many.
func PartOf(serial string, parts int) int {
	n, err := serialNumber(serial)
	if err != nil || parts < 2 {
		return 0
	}
	return int(new(big.Int).Mod(n, big.NewInt(int64(parts))).Int64())
}

// issuingDistributionPoint names the part a CRL is (RFC 5280 5.2.5).
func issuingDistributionPoint(uri string) (pkix.Extension, error) {
	var b cryptobyte.Builder
	b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cryptobyte_asn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { // distributionPoint
			b.AddASN1(cryptobyte_asn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { // fullName
				b.AddASN1(cryptobyte_asn1.Tag(6).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes([]byte(uri)) })
			})
		})
		b.AddASN1(cryptobyte_asn1.Tag(1).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddUint8(0xff) }) // onlyContainsUserCerts
	})
	der, err := b.Bytes()
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: der}, err
}

// MakeCRL makes the CRL of a part: l has everything but DER. revoked are suspended and revoked certificates; an authority
// with a single part speaks of all it signed and needs not say so. The CRL is linted before the real key signs.
func MakeCRL(l CRL, revoked []Certificate, a Authority, key crypto.Signer, at Places) (CRL, error) {
	issuer, err := a.Certificate()
	if err != nil {
		return l, err
	}
	if l.NextUpdate.Sub(l.ThisUpdate) > CRLValid || !l.NextUpdate.After(l.ThisUpdate) || l.Number < 1 {
		return l, errors.New("pki: a CRL holds for a day at most, and is numbered from 1 on")
	}
	template := &x509.RevocationList{Number: big.NewInt(l.Number), ThisUpdate: l.ThisUpdate, NextUpdate: l.NextUpdate}
	for _, c := range revoked {
		serial, err := serialNumber(c.Serial)
		if err != nil {
			return l, err
		}
		at := c.Ended
		if at.After(l.ThisUpdate) { // the clock of another node
			at = l.ThisUpdate
		}
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: serial, RevocationTime: at, ReasonCode: crlReason(c),
		})
	}
	if a.Parts > 1 {
		idp, err := issuingDistributionPoint(at.CRL(a.ID, l.Part))
		if err != nil {
			return l, fmt.Errorf("pki: %w", err)
		}
		template.ExtraExtensions = []pkix.Extension{idp}
	}
	throwaway, err := throwawayFor(issuer.PublicKey)
	if err != nil {
		return l, err
	}
	signer := *issuer
	signer.PublicKey = throwaway.Public()
	draft, err := x509.CreateRevocationList(rand.Reader, template, &signer, throwaway)
	if err != nil {
		return l, fmt.Errorf("pki: draft a CRL: %w", err)
	}
	if err := lintCRL(draft); err != nil {
		return l, err
	}
	if !Holds(issuer.PublicKey, key.Public()) {
		return l, errors.New("pki: the key is not that of the authority")
	}
	if l.DER, err = x509.CreateRevocationList(rand.Reader, template, issuer, key); err != nil {
		return l, fmt.Errorf("pki: sign a CRL: %w", err)
	}
	return l, checkCRL(draft, l, issuer)
}

// crlReason is the reason as a CRL says it: "unspecified" is left out (RFC 5280 5.3.1), as 0 is by the standard library.
func crlReason(c Certificate) int {
	if c.State == Suspended {
		return ReasonCode(Hold)
	}
	return ReasonCode(c.Reason)
}

// checkCRL are our own rules for what was signed.
func checkCRL(draft []byte, l CRL, issuer *x509.Certificate) error {
	drafted, err := x509.ParseRevocationList(draft)
	if err != nil {
		return fmt.Errorf("pki: %w", err)
	}
	list, err := x509.ParseRevocationList(l.DER)
	if err != nil {
		return fmt.Errorf("pki: %w", err)
	}
	switch {
	case !bytes.Equal(drafted.RawTBSRevocationList, list.RawTBSRevocationList):
		return errors.New("pki: what was signed is not what was linted")
	case list.CheckSignatureFrom(issuer) != nil:
		return errors.New("pki: the signature of a CRL does not hold")
	case list.Number.Cmp(big.NewInt(l.Number)) != 0 || len(list.AuthorityKeyId) == 0:
		return errors.New("pki: a CRL is not the one that was asked for")
	case !slices.IsSortedFunc(list.RevokedCertificateEntries, func(a, b x509.RevocationListEntry) int { return a.SerialNumber.Cmp(b.SerialNumber) }):
		return errors.New("pki: a CRL is not in order")
	}
	return nil
}

// Due reports whether the next CRL has to be made: some time before the one there is runs out.
func (l CRL) Due(now time.Time) bool { return l.Number == 0 || !now.Before(l.ThisUpdate.Add(CRLEvery)) }
