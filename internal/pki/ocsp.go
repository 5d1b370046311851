package pki

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha1" // names a key in a request; nothing rests on it
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ocsp"

	"doorward/internal/fault"
)

// Rules of OCSP (RFC 6960): answers are signed by a delegated responder, so that the authority's key need not be at hand.
// They hold for eight hours at most and are made ahead where nothing in the request makes them differ; a nonce is given back
// (RFC 9654), which costs a signature. A certificate that is not on record is unknown, also when its signature holds.

// QueryMax is how long a request may be, in bytes. queryMost is about how many certificates one may ask.
const (
	QueryMax  = 4 << 10
	queryMost = 8
	nonceMost = 128 // bytes (RFC 9654 2.1)
)

// Subject is one certificate that a request asks about. It names its issuer by hashes.
type Subject struct {
	ID     []byte // the CertID as it was sent, given back in the answer
	Name   []byte // hash of the issuer's name
	Key    []byte // hash of the issuer's public key
	Serial string
	hash   crypto.Hash
}

// Query is an OCSP request.
type Query struct {
	Subjects []Subject
	Nonce    []byte // the extension's value as it was sent; nil where there is none
}

var (
	oidSHA1   = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	oidSHA256 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidNonce  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}
	oidBasic  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}
)

// ParseQuery reads an OCSP request (RFC 6960 4.1.1). A signature on it is not looked at, since everybody may ask. What
// cannot be read fails with fault.Invalid "ocsp-request".
func ParseQuery(der []byte) (q Query, err error) {
	bad := func(why string) (Query, error) {
		return Query{}, fault.New(fault.Invalid, "ocsp-request", "why", why)
	}
	if len(der) > QueryMax {
		return bad("too long")
	}
	in := cryptobyte.String(der)
	var request, tbs, list cryptobyte.String
	if !in.ReadASN1(&request, cryptobyte_asn1.SEQUENCE) || !in.Empty() || !request.ReadASN1(&tbs, cryptobyte_asn1.SEQUENCE) {
		return bad("no request")
	}
	if !request.SkipOptionalASN1(explicit(0)) || !request.Empty() {
		return bad("after the request")
	}
	// version [0] is 0 and left out; requestorName [1] is nobody's business.
	if tbs.PeekASN1Tag(explicit(0)) || !tbs.SkipOptionalASN1(explicit(1)) || !tbs.ReadASN1(&list, cryptobyte_asn1.SEQUENCE) {
		return bad("no list")
	}
	for !list.Empty() {
		var one, id cryptobyte.String
		if len(q.Subjects) == queryMost || !list.ReadASN1(&one, cryptobyte_asn1.SEQUENCE) || !one.ReadASN1Element(&id, cryptobyte_asn1.SEQUENCE) ||
			!one.SkipOptionalASN1(explicit(0)) || !one.Empty() {
			return bad("a certificate in it")
		}
		s, ok := parseSubject(id)
		if !ok {
			return bad("a certificate in it")
		}
		q.Subjects = append(q.Subjects, s)
	}
	var extensions cryptobyte.String
	var present bool
	if len(q.Subjects) == 0 || !tbs.ReadOptionalASN1(&extensions, &present, explicit(2)) || !tbs.Empty() {
		return bad("nothing asked")
	}
	if present {
		if q.Nonce, present = parseNonce(extensions); !present {
			return bad("extensions")
		}
	}
	return q, nil
}

func explicit(n uint8) cryptobyte_asn1.Tag {
	return cryptobyte_asn1.Tag(n).ContextSpecific().Constructed()
}

func parseSubject(id cryptobyte.String) (s Subject, ok bool) {
	s.ID = bytes.Clone(id)
	var body, algorithm, name, key cryptobyte.String
	var oid asn1.ObjectIdentifier
	serial := new(big.Int)
	if !id.ReadASN1(&body, cryptobyte_asn1.SEQUENCE) || !body.ReadASN1(&algorithm, cryptobyte_asn1.SEQUENCE) || !algorithm.ReadASN1ObjectIdentifier(&oid) ||
		!body.ReadASN1(&name, cryptobyte_asn1.OCTET_STRING) || !body.ReadASN1(&key, cryptobyte_asn1.OCTET_STRING) ||
		!body.ReadASN1Integer(serial) || !body.Empty() || serial.Sign() < 0 || serial.BitLen() > 20*8 {
		return s, false
	}
	switch {
	case oid.Equal(oidSHA1):
		s.hash = crypto.SHA1
	case oid.Equal(oidSHA256):
		s.hash = crypto.SHA256
	} // another hash names no issuer of ours: unknown
	s.Name, s.Key, s.Serial = bytes.Clone(name), bytes.Clone(key), SerialText(serial)
	return s, true
}

// parseNonce finds the nonce among extensions; ok is false for what is no list of them, or for a nonce that is too long. Others are left
// out, also critical ones: there is none that would change the answer.
func parseNonce(in cryptobyte.String) (nonce []byte, ok bool) {
	var list cryptobyte.String
	if !in.ReadASN1(&list, cryptobyte_asn1.SEQUENCE) || !in.Empty() {
		return nil, false
	}
	for !list.Empty() {
		var one, value cryptobyte.String
		var oid asn1.ObjectIdentifier
		if !list.ReadASN1(&one, cryptobyte_asn1.SEQUENCE) || !one.ReadASN1ObjectIdentifier(&oid) || !one.SkipOptionalASN1(cryptobyte_asn1.BOOLEAN) ||
			!one.ReadASN1(&value, cryptobyte_asn1.OCTET_STRING) || !one.Empty() {
			return nil, false
		}
		if oid.Equal(oidNonce) {
			if len(value) == 0 || len(value) > nonceMost+4 {
				return nil, false
			}
			nonce = bytes.Clone(value)
		}
	}
	return nonce, true
}

// Names reports whether a subject names this authority as its issuer.
func (s Subject) Names(issuer *x509.Certificate) bool {
	key, err := keyBits(issuer.RawSubjectPublicKeyInfo)
	if err != nil {
		return false
	}
	switch s.hash {
	case crypto.SHA1:
		n, k := sha1.Sum(issuer.RawSubject), sha1.Sum(key)
		return bytes.Equal(s.Name, n[:]) && bytes.Equal(s.Key, k[:])
	case crypto.SHA256:
		n, k := sha256.Sum256(issuer.RawSubject), sha256.Sum256(key)
		return bytes.Equal(s.Name, n[:]) && bytes.Equal(s.Key, k[:])
	}
	return false
}

// Status is what is said about one subject. A certificate that is not on record, or was never finished, or waits to be
// shown for the first time before it counts, is Known false.
type Status struct {
	Subject Subject
	Known   bool
	Revoked bool // or suspended
	At      time.Time
	Reason  string
}

// StatusOf is the status of a row; nil is none.
func StatusOf(s Subject, c *Certificate) Status {
	st := Status{Subject: s}
	if c == nil || c.State == Reserved || c.State == Pending {
		return st
	}
	st.Known = true
	if c.State == Revoked || c.State == Suspended {
		st.Revoked, st.At, st.Reason = true, c.Ended, c.Reason
		if c.State == Suspended {
			st.Reason = Hold
		}
	}
	return st
}

// Answer signs an answer about what a request asks: as of now, until at most eight hours later. It is linted before it is
// signed.
func Answer(statuses []Status, nonce []byte, responder *x509.Certificate, key crypto.Signer, now, until time.Time) ([]byte, error) {
	if until.Sub(now) > AnswerValid || !until.After(now) {
		return nil, errors.New("pki: an OCSP answer holds for eight hours at most")
	}
	var signature []byte
	algorithm, hash := pkix.AlgorithmIdentifier{}, crypto.SHA256
	switch alg := responder.PublicKeyAlgorithm; alg {
	case x509.ECDSA:
		algorithm.Algorithm = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2} // ecdsa-with-SHA256
	default:
		return nil, fmt.Errorf("pki: a responder's key is ECDSA, not %s", alg)
	}
	tbs, err := responseData(statuses, nonce, responder, now, until)
	if err != nil {
		return nil, err
	}
	for _, s := range statuses {
		if err := lintAnswer(s.draft(now, until)); err != nil {
			return nil, err
		}
	}
	digest := sha256.Sum256(tbs)
	if signature, err = key.Sign(rand.Reader, digest[:], hash); err != nil {
		return nil, fmt.Errorf("pki: sign an OCSP answer: %w", err)
	}
	alg, err := asn1.Marshal(algorithm)
	if err != nil {
		return nil, fmt.Errorf("pki: %w", err)
	}
	var b cryptobyte.Builder
	b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) { // BasicOCSPResponse
		b.AddBytes(tbs)
		b.AddBytes(alg)
		b.AddASN1BitString(signature)
		b.AddASN1(explicit(0), func(b *cryptobyte.Builder) {
			b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(responder.Raw) })
		})
	})
	basic, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("pki: %w", err)
	}
	var out cryptobyte.Builder
	out.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) { // OCSPResponse
		b.AddASN1Enum(0) // successful
		b.AddASN1(explicit(0), func(b *cryptobyte.Builder) {
			b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(oidBasic)
				b.AddASN1OctetString(basic)
			})
		})
	})
	return out.Bytes()
}

// responseData is what is signed (RFC 6960 4.2.1).
func responseData(statuses []Status, nonce []byte, responder *x509.Certificate, now, until time.Time) ([]byte, error) {
	now, until = now.UTC().Truncate(time.Second), until.UTC().Truncate(time.Second)
	bits, err := keyBits(responder.RawSubjectPublicKeyInfo)
	if err != nil {
		return nil, err
	}
	by := sha1.Sum(bits) // how RFC 6960 names who answers
	var b cryptobyte.Builder
	b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(explicit(2), func(b *cryptobyte.Builder) { b.AddASN1OctetString(by[:]) }) // byKey
		b.AddASN1GeneralizedTime(now)
		b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, s := range statuses {
				b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddBytes(s.Subject.ID)
					s.add(b, now)
					b.AddASN1GeneralizedTime(now)
					b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { b.AddASN1GeneralizedTime(until) })
				})
			}
		})
		if nonce != nil {
			b.AddASN1(explicit(1), func(b *cryptobyte.Builder) {
				b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1ObjectIdentifier(oidNonce)
						b.AddASN1OctetString(nonce)
					})
				})
			})
		}
	})
	der, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("pki: %w", err)
	}
	return der, nil
}

// add writes CertStatus.
func (s Status) add(b *cryptobyte.Builder, now time.Time) {
	switch {
	case !s.Known:
		b.AddASN1(cryptobyte_asn1.Tag(2).ContextSpecific(), func(*cryptobyte.Builder) {})
	case !s.Revoked:
		b.AddASN1(cryptobyte_asn1.Tag(0).ContextSpecific(), func(*cryptobyte.Builder) {})
	default:
		at := s.At.UTC().Truncate(time.Second)
		if at.After(now) { // the clock of another node
			at = now
		}
		b.AddASN1(explicit(1), func(b *cryptobyte.Builder) {
			b.AddASN1GeneralizedTime(at)
			if code := ReasonCode(s.Reason); code != 0 {
				b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { b.AddASN1Enum(int64(code)) })
			}
		})
	}
}

// draft is the answer as the linter reads it.
func (s Status) draft(now, until time.Time) *ocsp.Response {
	r := &ocsp.Response{Status: ocsp.Good, ProducedAt: now, ThisUpdate: now, NextUpdate: until, RevokedAt: s.At, RevocationReason: ReasonCode(s.Reason)}
	switch {
	case !s.Known:
		r.Status = ocsp.Unknown
	case s.Revoked:
		r.Status = ocsp.Revoked
	}
	return r
}

// Refusals, unsigned (RFC 6960 4.2.1): the request cannot be read; it is our fault; try later; no certificate of ours.
var (
	AnswerMalformed    = []byte{0x30, 3, 0x0a, 1, 1}
	AnswerInternal     = []byte{0x30, 3, 0x0a, 1, 2}
	AnswerLater        = []byte{0x30, 3, 0x0a, 1, 3}
	AnswerUnauthorized = []byte{0x30, 3, 0x0a, 1, 6}
)
