package rig_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"doorward/internal/directory"
	"doorward/internal/pki"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
	"doorward/realms"
)

// neighbour is another realm in the same house, with a CA of its own and somebody who has a device.
func neighbour(t *testing.T, w *wealth) (other *rig.Rig, ca *rig.CA, dev rig.Device) {
	t.Helper()
	realm, err := directory.ParseRealm("wealth.toml", realms.Wealth)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(func(tx *sqlstore.Tx) error { return tx.PutRealm(realm) })
	other = rig.Open(t, w.Store, realm.ID, w.Clock.Now())
	ca = rig.NewCA(t, "Neighbour CA")
	of := other.Trust(ca)
	p, _ := other.Invite(other.Organization("Neighbours", false), directory.Member, "Nora Neighbour", "nora@neighbour.example")
	return other, ca, other.Device(ca, of, p, "Phone")
}

// withKey makes a certificate for a key of the test's own.
func withKey(w *wealth, name string, public, private any) rig.Device {
	dev := w.Device(w.ca, w.of, w.ann.Is, name, func(c *x509.Certificate) { c.PublicKey = public })
	dev.Cert.PrivateKey = private
	return dev
}

// Over the program's own listener, with real handshakes: what does not count gets its page, and what is not even TLS gets
// nothing. Of the certificates that come along the first alone is read.
func TestREQ_A21_A22_SEC_C3_C4_RefusedOverTLS(t *testing.T) {
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		w := withDevices(t, store)
		_, _, nora := neighbour(t, w)
		_, bobs := w.enter("Bob Client", "bob@client.example")
		change := func(name string, how func(*pki.Certificate)) tls.Certificate {
			d := w.Device(w.ca, w.of, w.ann.Is, name)
			w.Change(d, how)
			return d.Cert
		}
		used := func(name string, usage ...x509.ExtKeyUsage) tls.Certificate {
			return w.Device(w.ca, w.of, w.ann.Is, name, func(c *x509.Certificate) { c.ExtKeyUsage = usage }).Cert
		}
		along := func(own tls.Certificate, others ...tls.Certificate) tls.Certificate {
			own.Certificate = slices.Clone(own.Certificate)
			for _, o := range others {
				own.Certificate = append(own.Certificate, o.Leaf.Raw)
			}
			return own
		}
		swapped := w.dev.Cert
		swapped.Certificate = [][]byte{w.ca.Cert.Raw, w.dev.Cert.Leaf.Raw}
		stolen := bobs.Cert
		stolen.Certificate = w.dev.Cert.Certificate
		twin := w.ca.Issue(func(c *x509.Certificate) {
			c.Subject, c.SerialNumber = w.dev.Cert.Leaf.Subject, w.dev.Cert.Leaf.SerialNumber
		})
		const foreign, in, none = "is not one of", "Enter your password", ""
		served := w.Serve()
		for name, c := range map[string]struct {
			cert tls.Certificate
			want string
		}{
			"genuine":                            {w.dev.Cert, in},
			"genuine, RSA":                       {withKey(w, "RSA", good.Public(), good).Cert, in},
			"nothing":                            {tls.Certificate{}, "No certificate arrived"},
			"revoked":                            {change("R", func(c *pki.Certificate) { c.State, c.Reason, c.Ended = pki.Revoked, pki.KeyCompromise, w.Clock.Now() }), "was revoked"},
			"on hold":                            {change("S", func(c *pki.Certificate) { c.State, c.Reason, c.Ended = pki.Suspended, pki.Hold, w.Clock.Now() }), "is on hold"},
			"expired":                            {w.Device(w.ca, w.of, w.ann.Is, "E", func(c *x509.Certificate) { c.NotAfter = w.Clock.Now().Add(-time.Second) }).Cert, "has run out"},
			"not yet valid":                      {w.Device(w.ca, w.of, w.ann.Is, "F", func(c *x509.Certificate) { c.NotBefore = w.Clock.Now().Add(time.Hour) }).Cert, "not valid yet"},
			"somebody else's":                    {bobs.Cert, "belongs to somebody else"},
			"a stranger's":                       {rig.NewCA(t, "Company CA").Issue(func(*x509.Certificate) {}), foreign},
			"of the sibling realm":               {nora.Cert, foreign},
			"same subject and serial, other key": {twin, foreign},
			"of its own making":                  {rig.SelfSigned(t, func(c *x509.Certificate) { c.Subject = w.dev.Cert.Leaf.Subject }), foreign},
			"for servers":                        {used("U1", x509.ExtKeyUsageServerAuth), foreign},
			"for any use":                        {used("U2", x509.ExtKeyUsageAny), foreign},
			"for no use":                         {used("U3"), foreign},
			"for signing code":                   {used("U4", x509.ExtKeyUsageCodeSigning, x509.ExtKeyUsageEmailProtection), foreign},
			"RSA 1024":                           {withKey(w, "RSA 1024", short.Public(), short).Cert, foreign},
			"another curve":                      {withKey(w, "P-521", curve.Public(), curve).Cert, foreign},
			// TLS proves the key of the first certificate alone.
			"with others behind it":    {along(w.dev.Cert, bobs.Cert, nora.Cert), in},
			"behind somebody else's":   {along(bobs.Cert, w.dev.Cert), "belongs to somebody else"},
			"behind a stranger's":      {along(rig.NewCA(t, "Company CA").Issue(func(*x509.Certificate) {}), w.dev.Cert), foreign},
			"the CA before it":         {swapped, none},
			"without its key":          {stolen, none},
			"with forty others behind": {along(w.dev.Cert, slices.Repeat([]tls.Certificate{bobs.Cert}, 40)...), in},
			"with a thousand others":   {along(w.dev.Cert, slices.Repeat([]tls.Certificate{bobs.Cert}, 1000)...), none},
		} {
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				conf := served.TLS()
				if len(c.cert.Certificate) > 0 {
					conf = served.TLS(c.cert)
				}
				conf.MinVersion, conf.MaxVersion = version, version
				b := served.Browser()
				b.HTTP.Transport = served.ClientWith(conf).Transport
				page, err := b.Submit(w.at(b, w.ann.Is.Address).FormTo("/certificate"))
				switch {
				case c.want == none:
					if err == nil {
						t.Errorf("%s, %x: answered %q", name, version, page.Title())
					}
				case err != nil:
					t.Errorf("%s, %x: %v", name, version, err)
				case page.Status != http.StatusOK || !strings.Contains(page.Title(), c.want):
					t.Errorf("%s, %x: %d %q, want %q", name, version, page.Status, page.Title(), c.want)
				}
			}
		}
		if n := w.count("person.mismatch"); n != 4 {
			t.Errorf("%d of 4 mismatches are audited", n)
		}
		// Without a name in the handshake no host asks, and none answers for the name in the request.
		for _, name := range []string{"", rig.Host, "other.example"} {
			conf := served.TLS(w.dev.Cert)
			conf.ServerName, conf.InsecureSkipVerify = name, true
			if name == "" {
				conf.ServerName = "127.0.0.1" // of which nothing is sent
			}
			res, err := served.ClientWith(conf).Get("https://" + certHost + "/certificate/x")
			if err != nil || res.StatusCode != http.StatusMisdirectedRequest {
				t.Errorf("asked as %q: %v, %v", name, res, err)
				continue
			}
			_ = res.Body.Close()
		}
	})
}

var (
	authorityNames = regexp.MustCompile(`(?s)Acceptable client certificate CA names\n(.*?)\n(?:Requested Signature|Client Certificate Types)`)
	noNames        = "No client certificate CA names sent"
)

// names are the authorities that OpenSSL is told to choose among.
func names(t *testing.T, addr, host string, more ...string) string {
	t.Helper()
	cmd := exec.Command("openssl", append([]string{"s_client", "-connect", addr, "-servername", host}, more...)...)
	cmd.Stdin = strings.NewReader("Q\n")
	out, err := cmd.CombinedOutput()
	if m := authorityNames.FindSubmatch(out); m != nil {
		return string(m[1])
	}
	if !strings.Contains(string(out), noNames) {
		t.Fatalf("%v\n%s", err, out)
	}
	return ""
}

// Whoever connects is told of the realm's own authorities that count at this moment, and of nobody else's: not before there
// is one, not of the realm beside it, both while one follows the other, and no revoked one. OpenSSL is asked, over real TLS.
func TestREQ_A20_SEC_C4_TheRequestNamesOurAuthoritiesAlone(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		w := withDevices(t, store)
		other, _, _ := neighbour(t, w)
		served := other.Serve() // of the house with both realms
		theirs := "cert." + other.Realm.Host
		says := func(when, host, want string) {
			t.Helper()
			for _, version := range []string{"-tls1_2", "-tls1_3"} {
				if got := names(t, served.Addr, host, version); got != want {
					t.Errorf("%s, %s %s: %q, want %q", when, host, version, got, want)
				}
			}
		}
		says("one authority each", certHost, "CN = Issuing CA")
		says("one authority each", theirs, "CN = Neighbour CA")
		says("the realm's own host", rig.Host, "")
		says("the other realm's own host", other.Realm.Host, "")
		says("a name of nobody", "cert.nobody.example", "")
		next := w.Trust(rig.NewCA(t, "Next CA"))
		says("after a rotation", "cert2."+rig.Host, "CN = Issuing CA\nCN = Next CA")
		says("after the neighbour's rotation", theirs, "CN = Neighbour CA")
		for _, a := range []pki.Authority{w.of, next} {
			w.Write(func(tx *sqlstore.Tx) error {
				a.State, a.Ended = pki.Revoked, w.Clock.Now()
				return tx.UpdateAuthority(a)
			})
		}
		says("when all are revoked nobody is asked", certHost, "")
	})
}

// A client that asks for another handshake on its connection, to show another certificate, gets none (TLS 1.2; 1.3 has no such thing).
func TestSEC_C4_NoSecondHandshake(t *testing.T) {
	w := withDevices(t, testdb.SQLite(t))
	served := w.Serve()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "openssl", "s_client", "-connect", served.Addr, "-servername", certHost, "-tls1_2", "-legacy_renegotiation")
	cmd.Stdin = strings.NewReader("R\nGET / HTTP/1.1\r\n")
	out, err := cmd.CombinedOutput()
	if !strings.Contains(string(out), "RENEGOTIATING") || !strings.Contains(string(out), "alert unexpected message") || err == nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// Without the database nobody comes in by a certificate: neither is one left at the host, nor does one count that was.
func TestSEC_C5_WithoutTheDatabaseNoCertificateCounts(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		w := withDevices(t, store)
		served := w.Serve()
		b := served.Browser()
		b.HTTP.Transport = served.Client(w.dev.Cert).Transport
		form := w.at(b, w.ann.Is.Address).FormTo("/certificate")
		there, back := w.hop(b, w.at(b, w.ann.Is.Address))
		b.HTTP.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		sent, err := b.Submit(w.at2(b).FormTo("/certificate"))
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		for what, open := range map[string]func() (int, error){
			"to the host":        func() (int, error) { p, err := b.Submit(form); return status(p, err) },
			"at the host":        func() (int, error) { p, err := b.Get(sent.Header.Get("Location")); return status(p, err) },
			"at the host, again": func() (int, error) { p, err := b.Get(there); return status(p, err) },
			"back from the host": func() (int, error) { p, err := b.Get(back); return status(p, err) },
		} {
			if got, err := open(); err != nil || got != http.StatusServiceUnavailable {
				t.Errorf("%s: %d, %v", what, got, err)
			}
		}
	})
}

func status(p *walker.Page, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	return p.Status, nil
}
