package handover_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"doorward/internal/certify"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/handover"
	"doorward/internal/keyfile"
	"doorward/internal/login"
	"doorward/internal/pki"
	"doorward/internal/sqlstore"
)

// browser is who makes a key at the page behind a link.
var browser = login.Caller{Realm: "wealth", Network: "198.51.100.7"}

// request is what the page's script sends for a new key.
func request(t *testing.T) (crypto.Signer, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return key, []byte(base64.StdEncoding.EncodeToString(der))
}

// sent is a parcel whose password the contact has said.
func (d *desk) sent() (p keyfile.Parcel, link, password string) {
	d.t.Helper()
	p, err := d.Send(d.t.Context(), d.as(d.ben), d.order())
	d.must(err)
	said, _, err := d.Say(d.t.Context(), d.as(d.mira), p.ID)
	d.must(err)
	return p, d.link(), string(said)
}

// The browser's own key gets the certificate, in the place of the one that waited: that one is revoked in the same commit, its
// key and file are erased, and asking again with the same key gives the same. Nobody else gets anything.
func TestREQ_A16b_TheBrowsersKeyTakesThePlaceOfOurs(t *testing.T) {
	each(t, func(d *desk) {
		ctx := d.t.Context()
		p, link, password := d.sent()
		if w, err := d.Peek(ctx, "wealth", link); err != nil || !w.Here {
			t.Fatalf("%v %+v", err, w)
		}
		key, csr := request(t)
		got, w, err := d.Certify(ctx, browser, link, password, csr)
		d.must(err)
		leaf, err := x509.ParseCertificate(got.Certificate)
		d.must(err)
		if !leaf.PublicKey.(*ecdsa.PublicKey).Equal(key.Public()) || len(got.Issuers) != 1 || got.Name != "wealth-2028.p12" || got.Label != "Laptop in the office" {
			t.Errorf("%+v", got)
		}
		issuer, err := x509.ParseCertificate(got.Issuers[0])
		d.must(err)
		d.must(leaf.CheckSignatureFrom(issuer))
		if w.Parcel.Proof != nil || w.Parcel.Link != nil {
			t.Errorf("what is kept of the password goes out: %+v", w.Parcel)
		}
		s := d.stored(p.ID)
		old, made := d.certificate(p.Certificate), d.certificate(s.Certificate)
		if s.State != keyfile.Signed || len(s.File)+len(s.Password) != 0 || s.Certificate == p.Certificate || s.Tries != 0 {
			t.Errorf("%+v", s)
		}
		if old.State != pki.Revoked || old.Reason != pki.Superseded || made.State != pki.Issued || made.Device != old.Device || made.Replaces != old.ID ||
			made.Requester != d.ben.ID || made.Approver != d.ben.ID || made.Person != d.cleo.ID {
			t.Errorf("%+v\n%+v", old, made)
		}
		// The answer was lost: the same key gets the same, with no password; another key gets nothing, nor does the file's way.
		again, _, err := d.Certify(ctx, browser, link, "", csr)
		if err != nil || string(again.Certificate) != string(got.Certificate) {
			t.Errorf("again: %v", err)
		}
		_, other := request(t)
		for name, err := range map[string]error{
			"another key":            func() error { _, _, err := d.Certify(ctx, browser, link, password, other); return err }(),
			"the file":               func() error { _, _, err := d.Fetch(ctx, browser, link); return err }(),
			"another says it has it": d.Arrived(ctx, browser, link, other),
		} {
			if code(err) != "parcel-fetched" {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := d.Resend(ctx, d.as(d.ben), p.ID); code(err) != "parcel-fetched" {
			t.Errorf("sent again: %v", err)
		}
		d.must(d.Arrived(ctx, browser, link, csr))
		d.must(d.Arrived(ctx, browser, link, csr))
		if s := d.stored(p.ID); s.State != keyfile.Fetched {
			t.Errorf("it arrived, and is %s", s.State)
		}
		d.at = d.at.Add(48 * time.Hour)
		d.must(d.Tidy(ctx, "wealth"))
		if c := d.certificate(s.Certificate); c.State != pki.Issued {
			t.Errorf("what arrived is %s", c.State)
		}
		if n := len(d.letters(d.cleo, "certificate-fetched")); n != 1 {
			t.Errorf("%d letters", n)
		}
		told := strings.Join(d.events(d.cleo), "\n")
		if strings.Count(told, "certificate.fetched "+d.cleo.ID) != 1 || strings.Count(told, "certificate.issued "+d.cleo.ID) != 1 {
			t.Errorf("%s", told)
		}
	})
}

// The link alone gets nothing signed. Five wrong passwords withdraw what waits, and the right one comes too late then; four do
// no harm, and what is no request is not even compared.
func TestREQ_A16b_SEC_C8_TP12_TheLinkAloneGetsNoCertificate(t *testing.T) {
	each(t, func(d *desk) {
		ctx := d.t.Context()
		p, link, password := d.sent()
		_, csr := request(t)
		try := func(password string, csr []byte) error {
			_, _, err := d.Certify(ctx, browser, link, password, csr)
			return err
		}
		_, foreign := request(t)
		broken, err := base64.StdEncoding.DecodeString(string(foreign))
		d.must(err)
		broken[len(broken)-1] ^= 1
		for name, sent := range map[string]string{
			"csr-form": "MIIB", "csr-size": strings.Repeat("M", pki.RequestMax+1), "csr-signature": base64.StdEncoding.EncodeToString(broken),
		} {
			if err := try(password, []byte(sent)); code(err) != name {
				t.Errorf("%s: %v", name, err)
			}
		}
		for i, wrong := range []string{"", "x", password[1:], strings.ToUpper(password)} {
			if err := try(wrong, csr); code(err) != "file-password" || !fault.Of(err, fault.Rejected) {
				t.Errorf("%q: %v", wrong, err)
			}
			if s := d.stored(p.ID); s.Tries != i+1 || s.State != keyfile.Ready {
				t.Errorf("%d wrong ones: %+v", i+1, s)
			}
		}
		if n := d.count(); n != 1 {
			t.Fatalf("%d certificates", n)
		}
		if err := try(strings.Repeat("a", 24), csr); code(err) != "parcel-ended" {
			t.Errorf("the fifth: %v", err)
		}
		if s := d.stored(p.ID); s.State != keyfile.Ended || len(s.File)+len(s.Password) != 0 || d.certificate(p.Certificate).State != pki.Revoked {
			t.Errorf("%+v", s)
		}
		if err := try(password, csr); code(err) != "parcel-ended" {
			t.Errorf("the right one afterwards: %v", err)
		}
		if _, _, err := d.Fetch(ctx, browser, link); code(err) != "parcel-ended" {
			t.Errorf("the file afterwards: %v", err)
		}
		if n := len(d.letters(d.cleo, "certificate-withdrawn")); n != 1 {
			t.Errorf("%d letters", n)
		}
		if n := strings.Count(strings.Join(d.events(d.cleo), "\n"), "certificate.password-wrong anonymous"); n != 5 {
			t.Errorf("%d events", n)
		}

		// Four wrong ones, and the right one.
		p, link, password = d.sent()
		for range 4 {
			if err := try("x", csr); code(err) != "file-password" {
				t.Error(err)
			}
		}
		d.must(try(password, csr))

		// A system that cannot read what browsers make, and a link that ended.
		o := d.order()
		o.Target = keyfile.MacOS
		_, err = d.Send(ctx, d.as(d.ben), o)
		d.must(err)
		link, _ = d.link(), p
		_, csr = request(t)
		if w, err := d.Peek(ctx, "wealth", link); err != nil || w.Here {
			t.Errorf("%v %+v", err, w)
		}
		if err := try("x", csr); code(err) != "not-found" {
			t.Errorf("a Mac: %v", err)
		}
		_, link, password = d.sent()
		d.at = d.at.Add(handover.LinkLife)
		if err := try(password, csr); code(err) != "link-expired" {
			t.Errorf("too late: %v", err)
		}
	})
}

// count is how many certificates Cleo has, of whatever state.
func (d *desk) count() int {
	var all []pki.Certificate
	d.must(d.store.Read(d.t.Context(), func(tx *sqlstore.Tx) (err error) {
		all, err = tx.CertificatesOf("wealth", d.cleo.ID, 0)
		return err
	}))
	return len(all)
}

// Of 64 browsers with the link and the password, each with a key of its own, one gets a certificate; of 64 who guess, five are
// compared.
func TestREQ_A16b_SEC_T6_ManyAtOneLink(t *testing.T) {
	each(t, func(d *desk) {
		ctx := d.t.Context()
		together := func(do func(i int, csr []byte) error) (none, other []error) {
			var wg sync.WaitGroup
			var mu sync.Mutex
			for i := range 64 {
				_, csr := request(t)
				wg.Go(func() {
					err := do(i, csr)
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						none = append(none, err)
					} else {
						other = append(other, err)
					}
				})
			}
			wg.Wait()
			return none, other
		}
		p, link, password := d.sent()
		got, refused := together(func(i int, csr []byte) error {
			if i == 63 { // the file of who has no script, at the same moment
				_, _, err := d.Fetch(ctx, browser, link)
				return err
			}
			_, _, err := d.Certify(ctx, browser, link, password, csr)
			return err
		})
		if len(got) != 1 {
			t.Errorf("%d got something", len(got))
		}
		for _, err := range refused {
			if c := code(err); c != "parcel-fetched" && c != "stale" && c != "parcel-ended" {
				t.Errorf("%v", err)
			}
		}
		live := 0
		d.must(d.store.Read(ctx, func(tx *sqlstore.Tx) error {
			all, err := tx.CertificatesOf("wealth", d.cleo.ID, 0)
			live = 0
			for _, c := range all {
				if c.State != pki.Revoked {
					live++
				}
			}
			return err
		}))
		if s := d.stored(p.ID); live != 1 || !s.Taken() || d.certificate(s.Certificate).State != pki.Issued {
			t.Errorf("%d live, %+v", live, s)
		}

		p, link, _ = d.sent()
		_, refused = together(func(_ int, csr []byte) error {
			_, _, err := d.Certify(ctx, browser, link, "wrong", csr)
			return err
		})
		wrong := 0
		for _, err := range refused {
			if c := code(err); c == "file-password" {
				wrong++
			} else if c != "parcel-ended" {
				t.Errorf("%v", err)
			}
		}
		if s := d.stored(p.ID); len(refused) != 64 || wrong != 4 || s.Tries != 5 || s.State != keyfile.Ended {
			t.Errorf("%d refused, %d compared and not the last, %+v", len(refused), wrong, s)
		}
		if n := strings.Count(strings.Join(d.events(d.cleo), "\n"), "certificate.password-wrong"); n != 5 {
			t.Errorf("%d were compared", n)
		}
	})
}

// What never arrived is revoked after an hour, once; what was shown by then stays. A program that was killed while it issued
// stands in nobody's way for longer than five minutes.
func TestREQ_A16b_NothingHalfIssuedStays(t *testing.T) {
	each(t, func(d *desk) {
		ctx := d.t.Context()
		lost, link, password := d.sent()
		_, csr := request(t)
		_, _, err := d.Certify(ctx, browser, link, password, csr)
		d.must(err)
		shown, link2, password := d.sent()
		_, csr2 := request(t)
		_, _, err = d.Certify(ctx, browser, link2, password, csr2)
		d.must(err)
		used := d.certificate(d.stored(shown.ID).Certificate)
		used.State, used.FirstUsed, used.LastUsed = pki.Active, d.now(), d.now()
		d.must(d.store.Write(ctx, func(tx *sqlstore.Tx) error { return tx.UpdateCertificate(used) }))
		d.at = d.at.Add(time.Hour - time.Second)
		d.must(d.Tidy(ctx, "wealth"))
		if c := d.certificate(d.stored(lost.ID).Certificate); c.State != pki.Issued {
			t.Errorf("a second early: %s", c.State)
		}
		d.at = d.at.Add(time.Second)
		d.must(d.Tidy(ctx, "wealth"))
		d.must(d.Tidy(ctx, "wealth"))
		s := d.stored(lost.ID)
		if c := d.certificate(s.Certificate); c.State != pki.Revoked || c.Reason != pki.Cessation || s.State != keyfile.Ended {
			t.Errorf("%s %s, %s", c.State, c.Reason, s.State)
		}
		if c := d.certificate(used.ID); c.State != pki.Active {
			t.Errorf("what was shown is %s", c.State)
		}
		if n := len(d.letters(d.cleo, "certificate-withdrawn")); n != 1 {
			t.Errorf("%d letters", n)
		}
		if err := d.Arrived(ctx, browser, link, csr); code(err) != "parcel-ended" {
			t.Errorf("it arrives too late: %v", err)
		}
		if _, _, err := d.Certify(ctx, browser, link, password, csr); code(err) != "parcel-ended" {
			t.Errorf("asked too late: %v", err)
		}

		p, link, password := d.sent()
		old := d.certificate(p.Certificate)
		d.must(d.store.Write(ctx, func(tx *sqlstore.Tx) error {
			return tx.AddCertificate(pki.Certificate{
				ID: "cut", Realm: "wealth", Person: old.Person, Device: old.Device, Name: old.Name, Authority: old.Authority, Issuer: old.Issuer, Serial: pki.NewSerial(),
				Key: "cut", State: pki.Reserved, Replaces: old.ID, Created: d.now(), NotBefore: d.now(), NotAfter: old.NotAfter,
			})
		}))
		if _, _, err := d.Certify(ctx, browser, link, password, csr2); code(err) != "key-certified" {
			t.Errorf("the key of another certificate: %v", err)
		}
		_, csr3 := request(t)
		if _, _, err := d.Certify(ctx, browser, link, password, csr3); code(err) != "stale" {
			t.Errorf("while it is made: %v", err)
		}
		d.at = d.at.Add(5 * time.Minute)
		_, _, err = d.Certify(ctx, browser, link, password, csr3)
		d.must(err)
		if c := d.certificate("cut"); c.State != pki.Revoked {
			t.Errorf("what was cut short is %s", c.State)
		}
	})
}

// Whoever left, or whose certificate was withdrawn, gets nothing signed; a store that fails at the last moment leaves the file
// where it was.
func TestREQ_A16b_NothingIsSignedForWhoLeft(t *testing.T) {
	each(t, func(d *desk) {
		ctx := d.t.Context()
		p, link, password := d.sent()
		_, csr := request(t)
		d.Realms = broken{d.Realms}
		if _, _, err := d.Certify(ctx, browser, link, password, csr); !errors.Is(err, errAway) {
			t.Fatalf("%v", err)
		}
		d.Realms = d.Realms.(broken).Realms
		if s := d.stored(p.ID); s.State != keyfile.Ready || len(s.File) == 0 || s.Certificate != p.Certificate || d.certificate(p.Certificate).State != pki.Issued {
			t.Errorf("%+v", s)
		}
		_, csr = request(t)
		d.must(d.Issuer.Suspend(ctx, certify.Changed{Realm: "wealth", ID: p.Certificate, Reason: pki.Hold, By: certify.Operator}))
		if _, _, err := d.Certify(ctx, browser, link, password, csr); code(err) != "parcel-ended" {
			t.Errorf("on hold: %v", err)
		}
		d.must(d.Issuer.Resume(ctx, certify.Changed{Realm: "wealth", ID: p.Certificate, By: certify.Operator}))
		d.must(d.store.Write(ctx, func(tx *sqlstore.Tx) error {
			who, err := tx.Person("wealth", d.cleo.ID)
			who.State = directory.Disabled
			return errors.Join(err, tx.UpdatePerson(who))
		}))
		if _, _, err := d.Certify(ctx, browser, link, password, csr); code(err) != "parcel-ended" {
			t.Errorf("gone: %v", err)
		}
	})
}

var errAway = errors.New("away")

// broken knows no realm when the letter is written.
type broken struct{ login.Realms }

func (broken) Realm(string) (*login.Realm, error) { return nil, errAway }
