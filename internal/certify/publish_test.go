package certify

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"doorward/internal/fault"
	"doorward/internal/pki"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// tool runs a program that is not ours and returns what it says.
func tool(t *testing.T, ok bool, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if (err == nil) != ok {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// papers are files for other programs.
type papers struct {
	dir    string
	issuer *x509.Certificate
}

func (p papers) save(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (h *house) publish(t testing.TB) {
	t.Helper()
	if err := h.Publish(t.Context(), "wealth"); err != nil {
		t.Fatal(err)
	}
}

func (h *house) crl(t testing.TB, authority string, part int) (pki.CRL, *x509.RevocationList) {
	t.Helper()
	l, err := h.CRL(t.Context(), "wealth", authority, part)
	if err != nil {
		t.Fatal(err)
	}
	list, err := x509.ParseRevocationList(l.DER)
	if err != nil {
		t.Fatal(err)
	}
	return l, list
}

func (h *house) end(t testing.TB, c pki.Certificate, reason string) {
	t.Helper()
	if err := h.Revoke(t.Context(), Changed{Realm: "wealth", ID: c.ID, Reason: reason, By: Operator}); err != nil {
		t.Fatal(err)
	}
}

// Other people's programs read what is published and come to the same answer: OpenSSL and GnuTLS.
func TestSEC_C5_OtherProgramsAgree(t *testing.T) {
	h := newHouse(t, testdb.SQLite(t))
	h.time.at = time.Now().UTC() // these programs have the machine's clock
	h.root, h.rootKey = newRootAt(t, h.time.at)
	a := h.found(t, "wealth")
	h.publish(t)
	good, gone, held := h.issue(t), h.issue(t), h.issue(t)
	h.end(t, gone, pki.KeyCompromise)
	if err := h.Suspend(t.Context(), Changed{Realm: "wealth", ID: held.ID, By: Operator}); err != nil {
		t.Fatal(err)
	}
	h.publish(t)
	issuer, err := a.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	p := papers{t.TempDir(), issuer}
	l, _ := h.crl(t, "", 0)
	root := p.save(t, "root.pem", pki.PEM("CERTIFICATE", h.root.Raw))
	ca := p.save(t, "ca.pem", pki.PEM("CERTIFICATE", issuer.Raw))
	crl := p.save(t, "crl.pem", pki.PEM("X509 CRL", l.DER))
	both := p.save(t, "both.pem", append(pki.PEM("CERTIFICATE", issuer.Raw), pki.PEM("CERTIFICATE", h.root.Raw)...))
	for _, c := range []struct {
		name, crl, ocsp string
		cert            pki.Certificate
		ok              bool
	}{
		{"good", ": OK", "Cert Status: good", good, true},
		{"revoked", "certificate revoked", "(0x1)", gone, false},
		{"suspended", "certificate revoked", "(0x6)", held, false},
	} {
		leaf := p.save(t, c.name+".pem", pki.PEM("CERTIFICATE", c.cert.DER))
		out := tool(t, c.ok, "openssl", "verify", "-CAfile", root, "-untrusted", ca, "-CRLfile", crl, "-crl_check", "-purpose", "sslclient", "-x509_strict", leaf)
		if !strings.Contains(out, c.crl) {
			t.Errorf("%s: openssl says %s", c.name, out)
		}
		out = tool(t, c.ok, "certtool", "--verify", "--load-ca-certificate", root, "--load-crl", crl, "--infile", p.save(t, c.name+"-chain.pem", append(pki.PEM("CERTIFICATE", c.cert.DER), pki.PEM("CERTIFICATE", issuer.Raw)...)))
		if revoked := strings.Contains(out, "revoked"); revoked == c.ok {
			t.Errorf("%s: certtool says %s", c.name, out)
		}
		for _, hash := range []string{"-sha1", "-sha256"} {
			for _, nonce := range []string{"-nonce", "-no_nonce"} {
				request := filepath.Join(p.dir, "request.der")
				tool(t, true, "openssl", "ocsp", hash, "-issuer", ca, "-cert", leaf, nonce, "-reqout", request)
				answer := p.save(t, "answer.der", h.answer(t, read(t, request)))
				out = tool(t, true, "openssl", "ocsp", "-issuer", ca, "-reqin", request, "-respin", answer, "-CAfile", both, "-text")
				echoed := strings.Count(out, "OCSP Nonce") == 2 // of the request and of the response
				if !strings.Contains(out, "Response verify OK") || !strings.Contains(out, c.ocsp) || strings.Contains(out, "Nonce Verify error") || echoed != (nonce == "-nonce") {
					t.Errorf("%s: openssl ocsp says %s", c.name, out)
				}
			}
		}
	}
	// What was never issued is unknown, whatever its signature.
	unknown := filepath.Join(p.dir, "request.der")
	tool(t, true, "openssl", "ocsp", "-issuer", ca, "-serial", "0x0123456789abcdef", "-no_nonce", "-reqout", unknown)
	answer := p.save(t, "answer.der", h.answer(t, read(t, unknown)))
	if out := tool(t, true, "openssl", "ocsp", "-issuer", ca, "-serial", "0x0123456789abcdef", "-reqin", unknown, "-respin", answer, "-CAfile", both); !strings.Contains(out, "unknown") {
		t.Errorf("openssl says %s", out)
	}
	if out := tool(t, true, "certtool", "--crl-info", "--infile", crl); strings.Count(out, "Serial Number (hex)") != 2 {
		t.Errorf("certtool sees %s", out)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (h *house) answer(t testing.TB, request []byte) []byte {
	t.Helper()
	der, _, err := h.Answer(t.Context(), "wealth", request)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// ask is what a certificate is said to be, by a reader that is not ours.
func (h *house) ask(t testing.TB, c pki.Certificate, issuer *x509.Certificate) *ocsp.Response {
	t.Helper()
	leaf, err := x509.ParseCertificate(c.DER)
	if err != nil {
		t.Fatal(err)
	}
	request, err := ocsp.CreateRequest(leaf, issuer, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := ocsp.ParseResponseForCert(h.answer(t, request), leaf, issuer)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestSEC_C5_AnswersFollowTheRow(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		h := newHouse(t, s)
		a := h.found(t, "wealth")
		c := h.issue(t)
		issuer, err := a.Certificate()
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(c.DER)
		if err != nil {
			t.Fatal(err)
		}
		request, err := ocsp.CreateRequest(leaf, issuer, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := h.answer(t, request); !bytes.Equal(got, pki.AnswerLater) {
			t.Errorf("without a responder: %x", got)
		}
		h.publish(t)
		first := h.answer(t, request)
		if again := h.answer(t, request); !bytes.Equal(first, again) {
			t.Error("it was signed twice")
		}
		h.issue(t, func(o *Order) { o.Person = "0195-moritz" })
		if again := h.answer(t, request); !bytes.Equal(first, again) {
			t.Error("another certificate's change had it signed again")
		}
		if r := h.ask(t, c, issuer); r.Status != ocsp.Good || r.NextUpdate.Sub(r.ThisUpdate) > 8*time.Hour || !r.ThisUpdate.Equal(noon) {
			t.Errorf("%+v", r)
		}
		if err := h.Suspend(t.Context(), Changed{Realm: "wealth", ID: c.ID, By: Operator}); err != nil {
			t.Fatal(err)
		}
		if r := h.ask(t, c, issuer); r.Status != ocsp.Revoked || r.RevocationReason != ocsp.CertificateHold {
			t.Errorf("suspended: %+v", r)
		}
		if err := h.Resume(t.Context(), Changed{Realm: "wealth", ID: c.ID, By: Operator}); err != nil {
			t.Fatal(err)
		}
		if r := h.ask(t, c, issuer); r.Status != ocsp.Good {
			t.Errorf("resumed: %+v", r)
		}
		h.end(t, c, pki.KeyCompromise)
		if r := h.ask(t, c, issuer); r.Status != ocsp.Revoked || r.RevocationReason != ocsp.KeyCompromise || !r.RevokedAt.Equal(noon) {
			t.Errorf("revoked: %+v", r)
		}
		// Half of its time is over: it is made anew.
		h.time.add(pki.AnswerValid / 2)
		if r := h.ask(t, c, issuer); !r.ThisUpdate.Equal(noon.Add(pki.AnswerValid / 2)) {
			t.Errorf("later: %+v", r)
		}
		// An orphan is unknown, and so is a certificate of another realm's authority.
		broken := order(t, func(o *Order) { o.Stored = func(Tx, pki.Certificate) error { return fmt.Errorf("no") } })
		h.stolen = func(der []byte) { c.DER = der }
		if _, err := h.Issue(t.Context(), broken); err == nil {
			t.Fatal("issued")
		}
		if r := h.ask(t, c, issuer); r.Status != ocsp.Unknown {
			t.Errorf("an orphan: %+v", r)
		}
		if got, _, err := h.Answer(t.Context(), "shop", request); err != nil || !bytes.Equal(got, pki.AnswerUnauthorized) {
			t.Errorf("asked at another realm: %x %v", got, err)
		}
		if got, _, err := h.Answer(t.Context(), "wealth", []byte("hello")); err != nil || !bytes.Equal(got, pki.AnswerMalformed) {
			t.Errorf("noise: %x %v", got, err)
		}
		// The authority is revoked: nobody vouches for anything any more.
		if err := h.RevokeAuthority(t.Context(), "wealth", a.ID, pki.CACompromise); err != nil {
			t.Fatal(err)
		}
		if got := h.answer(t, request); !bytes.Equal(got, pki.AnswerUnauthorized) {
			t.Errorf("after the authority was revoked: %x", got)
		}
	})
}

func TestSEC_C5_CRLsAreMadeInTime(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		h := newHouse(t, s)
		a := h.found(t, "wealth")
		issuer, err := a.Certificate()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.CRL(t.Context(), "wealth", "", 0); !fault.Of(err, fault.NotFound) {
			t.Errorf("before anything was published: %v", err)
		}
		h.publish(t)
		h.publish(t)
		l, list := h.crl(t, "", 0)
		if l.Number != 1 || len(list.RevokedCertificateEntries) != 0 || list.CheckSignatureFrom(issuer) != nil || !list.NextUpdate.Equal(noon.Add(24*time.Hour)) {
			t.Errorf("%+v", l)
		}
		c, other := h.issue(t), h.issue(t)
		h.publish(t)
		if l, _ := h.crl(t, a.ID, 0); l.Number != 1 {
			t.Error("a CRL that nothing has changed")
		}
		h.end(t, c, pki.Cessation)
		h.publish(t)
		l, list = h.crl(t, "", 0)
		if l.Number != 2 || len(list.RevokedCertificateEntries) != 1 || list.RevokedCertificateEntries[0].ReasonCode != 5 || pki.SerialText(list.RevokedCertificateEntries[0].SerialNumber) != c.Serial {
			t.Errorf("%+v", list)
		}
		h.time.add(pki.CRLEvery)
		h.publish(t)
		if l, _ = h.crl(t, "", 0); l.Number != 3 || !l.ThisUpdate.Equal(noon.Add(pki.CRLEvery)) {
			t.Errorf("%+v", l)
		}
		if err := h.Suspend(t.Context(), Changed{Realm: "wealth", ID: other.ID, By: Operator}); err != nil {
			t.Fatal(err)
		}
		h.publish(t)
		if _, list = h.crl(t, "", 0); len(list.RevokedCertificateEntries) != 2 {
			t.Errorf("%+v", list)
		}
		if err := h.Resume(t.Context(), Changed{Realm: "wealth", ID: other.ID, By: Operator}); err != nil {
			t.Fatal(err)
		}
		// It stays until it has run out, and a day longer.
		h.time.mu.Lock()
		h.time.at = c.NotAfter.Add(23 * time.Hour)
		h.time.mu.Unlock()
		h.publish(t)
		if l, list = h.crl(t, a.ID, 0); len(list.RevokedCertificateEntries) != 1 {
			t.Errorf("%d: %+v", l.Number, list.RevokedCertificateEntries)
		}
		h.time.add(2 * time.Hour)
		h.publish(t)
		if _, list = h.crl(t, a.ID, 0); len(list.RevokedCertificateEntries) != 0 {
			t.Errorf("%+v", list.RevokedCertificateEntries)
		}
	})
}

// A responder follows the one before while that one still answers; and many nodes that publish at once make one.
func TestREQ_A57_PublishedAmong64(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		h := newHouse(t, s)
		a := h.found(t, "wealth")
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() {
				if err := h.Publish(t.Context(), "wealth"); err != nil && !fault.Of(err, fault.Exists) && !fault.Of(err, fault.Conflict) && !strings.Contains(err.Error(), "exists") && !strings.Contains(err.Error(), "stale") {
					t.Error(err)
				}
			})
		}
		all.Wait()
		h.publish(t) // those that were disturbed try again
		count := func() (signs int) {
			list, err := h.Authorities(t.Context(), "wealth")
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range list {
				if r.Class == pki.Responder && r.State == pki.Signs && r.Parent == a.ID {
					signs++
				}
			}
			return signs
		}
		if n := count(); n != 1 {
			t.Errorf("%d responders", n)
		}
		if l, _ := h.crl(t, "", 0); l.Number != 1 {
			t.Errorf("CRL %d", l.Number)
		}
		h.time.add(21 * 24 * time.Hour) // nine days are left of the responder's thirty
		h.publish(t)
		if n := count(); n != 1 || h.events(t, "authority.responder") != 2 {
			t.Errorf("%d responders, %d events", n, h.events(t, "authority.responder"))
		}
	})
}

// Many revocations: new certificates go to twice as many parts, and each part says which it is.
func TestSEC_C5_ALargeCRLIsParted(t *testing.T) {
	h := newHouse(t, testdb.SQLite(t))
	a := h.found(t, "wealth")
	c := h.issue(t)
	h.publish(t)
	err := h.store.Write(t.Context(), func(tx *sqlstore.Tx) error {
		for i := range pki.PartMost + 1 {
			row := c
			row.ID, row.Device, row.Key, row.Serial = fmt.Sprintf("x-%d", i), fmt.Sprintf("d-%d", i), fmt.Sprintf("k-%d", i), pki.NewSerial()
			row.State, row.Reason, row.Ended = pki.Revoked, pki.Superseded, noon
			if err := tx.AddCertificate(row); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	h.publish(t)
	if l, list := h.crl(t, a.ID, 0); len(list.RevokedCertificateEntries) != pki.PartMost+1 || len(l.DER) > 400<<10 {
		t.Errorf("%d entries, %d bytes", len(list.RevokedCertificateEntries), len(l.DER))
	}
	h.time.add(pki.CRLEvery)
	h.publish(t)
	for part := range 2 {
		_, list := h.crl(t, a.ID, part)
		named := false
		for _, e := range list.Extensions {
			named = named || e.Critical && bytes.Contains(e.Value, []byte(fmt.Sprintf("https://wealth.example.com/pki/crl/%s/%d", a.ID, part)))
		}
		if !named {
			t.Errorf("part %d does not say so", part)
		}
	}
	parts := map[int]bool{}
	for range 40 {
		parts[h.issue(t).Part] = true
	}
	if len(parts) < 2 || len(parts) > 4 {
		t.Errorf("parts %v", parts)
	}
}
