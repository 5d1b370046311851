package pki

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"math/big"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"doorward/internal/fault"
)

// responderOf makes a responder for an authority.
func responderOf(t testing.TB, a authority) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	key, _, err := NewKey(Responder)
	if err != nil {
		t.Fatal(err)
	}
	d, err := RespondFor(key.Public(), NewSerial(), "Meridian OCSP", a.cert, a.row.ID, at, noon)
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
	return c, key
}

func TestSEC_C5_AnswersAreReadByAnother(t *testing.T) {
	a := newAuthority(t)
	by, key := responderOf(t, a)
	serial := new(big.Int).SetBytes(bytes.Repeat([]byte{0xab}, 16))
	leaf := &x509.Certificate{SerialNumber: serial}
	for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
		request, err := ocsp.CreateRequest(leaf, a.cert, &ocsp.RequestOptions{Hash: hash})
		if err != nil {
			t.Fatal(err)
		}
		q, err := ParseQuery(request)
		if err != nil || len(q.Subjects) != 1 || q.Subjects[0].Serial != SerialText(serial) || !q.Subjects[0].Names(a.cert) || q.Subjects[0].Names(a.root) {
			t.Fatalf("%+v, %v", q, err)
		}
		for name, c := range map[string]struct {
			row    *Certificate
			status int
			reason int
		}{
			"good":      {&Certificate{State: Active}, ocsp.Good, 0},
			"expired":   {&Certificate{State: Issued, NotAfter: noon.Add(-time.Hour)}, ocsp.Good, 0}, // nobody asks about it, and it was not revoked
			"revoked":   {&Certificate{State: Revoked, Reason: Superseded, Ended: noon.Add(-time.Hour)}, ocsp.Revoked, 4},
			"no reason": {&Certificate{State: Revoked, Reason: Unspecified, Ended: noon.Add(-time.Hour)}, ocsp.Revoked, 0},
			"suspended": {&Certificate{State: Suspended, Ended: noon.Add(-time.Hour)}, ocsp.Revoked, 6},
			"an orphan": {&Certificate{State: Reserved}, ocsp.Unknown, 0},
			"none":      {nil, ocsp.Unknown, 0},
		} {
			der, err := Answer([]Status{StatusOf(q.Subjects[0], c.row)}, nil, by, key, noon, noon.Add(AnswerValid))
			if err != nil {
				t.Fatal(name, err)
			}
			r, err := ocsp.ParseResponseForCert(der, leaf, a.cert)
			if err != nil || r.Status != c.status || c.status == ocsp.Revoked && (r.RevocationReason != c.reason || !r.RevokedAt.Equal(noon.Add(-time.Hour))) {
				t.Errorf("%s: %+v, %v", name, r, err)
			}
			if err == nil && (!r.ThisUpdate.Equal(noon) || !r.NextUpdate.Equal(noon.Add(8*time.Hour)) || !r.ProducedAt.Equal(noon)) {
				t.Errorf("%s: %+v", name, r)
			}
		}
		if _, err := Answer([]Status{StatusOf(q.Subjects[0], nil)}, nil, by, key, noon, noon.Add(AnswerValid+time.Second)); err == nil {
			t.Error("an answer for more than eight hours")
		}
	}
}

func TestSEC_C5_RequestsThatCannotBeRead(t *testing.T) {
	a := newAuthority(t)
	request, err := ocsp.CreateRequest(&x509.Certificate{SerialNumber: big.NewInt(7)}, a.cert, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range request {
		if _, err := ParseQuery(request[:i]); !fault.Of(err, fault.Invalid) {
			t.Errorf("cut off after %d bytes: %v", i, err)
		}
	}
	if _, err := ParseQuery(append(bytes.Clone(request), 0)); err == nil {
		t.Error("something after it")
	}
	if _, err := ParseQuery(make([]byte, QueryMax+1)); err == nil {
		t.Error("too long")
	}
}

func FuzzParseQuery(f *testing.F) {
	a := newAuthority(f)
	request, err := ocsp.CreateRequest(&x509.Certificate{SerialNumber: big.NewInt(7)}, a.cert, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(request)
	f.Add([]byte{0x30, 0})
	by, key := responderOf(f, a)
	f.Fuzz(func(t *testing.T, in []byte) {
		q, err := ParseQuery(in)
		if err != nil {
			if !fault.Of(err, fault.Invalid) {
				t.Error(err)
			}
			return
		}
		if len(q.Subjects) == 0 || len(q.Subjects) > queryMost {
			t.Errorf("%d subjects", len(q.Subjects))
		}
		var all []Status
		for _, s := range q.Subjects {
			s.Names(a.cert)
			all = append(all, StatusOf(s, nil))
		}
		der, err := Answer(all, q.Nonce, by, key, noon, noon.Add(time.Hour))
		if err != nil {
			t.Error(err)
		}
		if len(der) > QueryMax*2+4096 {
			t.Errorf("an answer of %d bytes to a request of %d", len(der), len(in))
		}
	})
}

func TestSEC_C5_ACRLThatDoesNotFitIsNotMade(t *testing.T) {
	a, b := newAuthority(t), newAuthority(t)
	good := CRL{Realm: "wealth", Authority: a.row.ID, Number: 1, ThisUpdate: noon, NextUpdate: noon.Add(CRLValid)}
	gone := []Certificate{{Serial: NewSerial(), State: Revoked, Reason: KeyCompromise, Ended: noon.Add(-time.Hour)}}
	if _, err := MakeCRL(good, gone, a.row, a.key, at); err != nil {
		t.Fatal(err)
	}
	if _, err := MakeCRL(good, gone, a.row, b.key, at); err == nil {
		t.Error("another key signed it")
	}
	if _, err := MakeCRL(good, append(gone, gone...), a.row, a.key, at); err == nil {
		t.Error("one certificate twice, which the linter refuses")
	}
	for name, change := range map[string]func(*CRL){
		"25 hours": func(l *CRL) { l.NextUpdate = noon.Add(25 * time.Hour) }, "no time": func(l *CRL) { l.NextUpdate = noon }, "no number": func(l *CRL) { l.Number = 0 },
	} {
		l := good
		change(&l)
		if _, err := MakeCRL(l, gone, a.row, a.key, at); err == nil {
			t.Errorf("%s: made", name)
		}
	}
}
