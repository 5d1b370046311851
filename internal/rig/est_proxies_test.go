package rig_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"doorward/internal/audit"
	"doorward/internal/directory"
	"doorward/internal/enrolment"
	"doorward/internal/login"
	"doorward/internal/pki"
	"doorward/internal/rig"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// managing is a realm whose devices enrol by themselves, with a CA of the test's own beside the one that signs: what it
// issued is spoiled more easily.
type managing struct {
	*wealth
	ben *rig.Somebody
}

// withManaged is withDevicesOf at a time, with an authority that signs and an agent.
func withManaged(t *testing.T, store *sqlstore.Store, ca *rig.CA, at time.Time) *managing {
	t.Helper()
	m := &managing{wealth: withDevicesOf(t, store, ca)}
	m.ben = m.Join(m.Organization("Northline Supply AG", true), directory.Agent, "Ben Agent", "ben@northline.example")
	m.Clock.Until(at)
	key, _, err := pki.NewKey(pki.Root)
	m.must(err)
	der, err := pki.MakeRoot(key, "Sample Root", "Sample", m.Clock.Now())
	m.must(err)
	root, err := x509.ParseCertificate(der)
	m.must(err)
	_, err = m.Certs.Found(t.Context(), m.Realm.ID, root, key)
	m.must(err)
	return m
}

func (m *managing) must(err error) {
	m.T.Helper()
	if err != nil {
		m.T.Fatal(err)
	}
}

// managed writes down that a device was enrolled by itself.
func (m *managing) managed(d rig.Device) rig.Device {
	m.T.Helper()
	m.Write(func(tx *sqlstore.Tx) error {
		return tx.AddEnrolment(pki.Enrolment{
			ID: uuid.NewString(), Realm: d.Row.Realm, Person: d.Row.Person, Device: d.Row.Device, Name: d.Row.Name, Sender: m.ben.Is.ID, Secret: []byte(d.Row.Device),
			State: pki.EnrolmentUsed, Certificate: d.Row.ID, Created: m.Clock.Now(), Until: m.Clock.Now().Add(enrolment.Life), Used: m.Clock.Now(),
		})
	})
	return d
}

// offer makes a secret for a device of Ann's.
func (m *managing) offer(device string) string {
	m.T.Helper()
	by := login.By{Signed: login.Signed{Realm: m.Realm, Person: m.ben.Is}}
	_, word, err := m.Enrols.Offer(m.T.Context(), by, enrolment.Order{Person: m.ann.Is.ID, Device: device, Reason: "New client since Monday"})
	m.must(err)
	return string(word)
}

// all are the certificates of Ann's devices, the newest first.
func (m *managing) all() (all []pki.Certificate) {
	m.T.Helper()
	m.Read(func(tx *sqlstore.Tx) (err error) {
		all, err = tx.CertificatesOf(m.Realm.ID, m.ann.Is.ID, 1000)
		return err
	})
	return all
}

// refusals are how often the trail says that a device was refused.
func (m *managing) refusals() (n int) {
	m.T.Helper()
	m.Read(func(tx *sqlstore.Tx) error {
		all, err := tx.Events(audit.Query{Realm: m.Realm.ID, Types: []string{"enrolment.refused"}, Limit: 500})
		n = len(all)
		return err
	})
	return n
}

// sameNames makes a certificate with the names of a device's.
func sameNames(d rig.Device) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		rig.Always(c)
		c.Subject, c.SerialNumber = d.Cert.Leaf.Subject, d.Cert.Leaf.SerialNumber
	}
}

// device is a client that comes through a gate and shows certificates.
func (g gate) device(t testing.TB, certificates ...tls.Certificate) *http.Client {
	transport := &http.Transport{DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
		conn := g.dial(t, shows(certHost, nil, certificates...))
		return conn, conn.Handshake()
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// What a proxy of the documentation says about the connection counts as the connection itself does, and what a device says in
// a header counts for nothing: with no certificate, and beside one that is no managed device's. The secret passes through.
func TestSEC_C6_C11_ManagedDevicesBehindTheProxiesOfTheDocumentation(t *testing.T) {
	// Proxies go by the machine's clock, and renewal by ours: what they all find in time ends in 2099.
	m := withManaged(t, testdb.SQLite(t), rig.NewCA(t, "Issuing CA", rig.Always), time.Date(2098, 12, 15, 9, 0, 0, 0, time.UTC))
	plain := m.Device(m.ca, m.of, m.ann.Is, "From a file", rig.Always)
	const kind = "application/pkcs10"
	for _, g := range m.gates() {
		t.Run(g.name, func(t *testing.T) {
			m.Clock.Advance(time.Hour) // no budget is in the way
			dev := m.managed(m.Device(m.ca, m.of, m.ann.Is, g.name, rig.Always))
			claimed, before := claims(dev.Cert), len(m.all())
			forged := []string{"Client-Cert", claimed["HERE"], "X-Forwarded-Client-Cert", claimed["XFCC"]}
			for name, x := range map[string]struct {
				shown   []tls.Certificate
				headers []string
				says    string
			}{
				"nothing":                                    {nil, nil, "No certificate was shown"},
				"a header":                                   {nil, forged, "No certificate was shown"},
				"a header with underscores":                  {nil, []string{"Client_Cert", claimed["HERE"], "X_Forwarded_Client_Cert", claimed["XFCC"]}, "No certificate was shown"},
				"a header beside another certificate":        {[]tls.Certificate{plain.Cert}, forged, "not set up as a managed device"},
				"a chain beside another certificate":         {[]tls.Certificate{plain.Cert}, []string{"Client-Cert-Chain", claimed["HERE"]}, "not set up as a managed device"},
				"a stranger's, same names":                   {[]tls.Certificate{rig.NewCA(t, "Issuing CA", rig.Always).Issue(sameNames(dev))}, nil, "not one of ours"},
				"a header beside that of a stranger":         {[]tls.Certificate{rig.NewCA(t, "Company CA").Issue(rig.Always)}, forged, "not one of ours"},
				"its secret in place of the certificate":     {nil, []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("device:"+m.offer(g.name+" 3")))}, "No certificate was shown"},
				"a header in the words of a server's script": {nil, []string{"X-SSL-Client-Cert", claimed["ESCAPED"], "X-SSL-Client-Verify", "SUCCESS"}, "No certificate was shown"},
			} {
				a := fromDevice(t, g.device(t, x.shown...), "POST", "simplereenroll", "", kind, request(t, newKey(t)), x.headers...)
				if a.status != http.StatusForbidden || !strings.Contains(a.body, x.says) {
					t.Errorf("%s: %d %q", name, a.status, a.body)
				}
			}
			word := m.offer(g.name + " 2")
			a := fromDevice(t, g.device(t), "POST", "simpleenroll", "guess", kind, request(t, newKey(t)))
			if a.status != http.StatusUnauthorized || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Basic ") {
				t.Errorf("a guess: %d %v", a.status, a.header)
			}
			a = fromDevice(t, g.device(t), "POST", "simpleenroll", word, kind, bytes.Repeat([]byte("A"), 10<<20))
			if a.status != http.StatusRequestEntityTooLarge && (g.name != "apache" || a.status != http.StatusBadGateway) { // Apache sends it all before it listens
				t.Errorf("ten megabytes: %d %q", a.status, a.body)
			}
			if n := len(m.all()); n != before {
				t.Fatalf("%d certificates of what was refused", n-before)
			}
			enrolled := fromDevice(t, g.device(t), "POST", "simpleenroll", word, kind, request(t, newKey(t))).leaf(t)
			if !strings.HasPrefix(enrolled.Subject.CommonName, g.name+" 2 ") {
				t.Errorf("enrolled: %s", enrolled.Subject)
			}
			next := fromDevice(t, g.device(t, dev.Cert), "POST", "simplereenroll", "", kind, request(t, newKey(t))).leaf(t)
			if row := m.all()[0]; row.SHA256 != pki.Hash(next.Raw) || row.Replaces != dev.Row.ID || len(m.all()) != before+2 {
				t.Errorf("renewed: %+v", row)
			}
		})
	}
}

// What does not count at a sign-in does not count here: nobody gets the next certificate by one that is dead, foreign, or of
// somebody who may not come in any more. What is known of whom it is about stands in the trail.
func TestSEC_C6_WhatIsShownMustCount(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		m := withManaged(t, store, rig.NewCA(t, "Issuing CA"), time.Date(2027, 12, 1, 9, 0, 0, 0, time.UTC))
		_, _, nora := neighbour(t, m.wealth)
		served := m.Serve()
		made := func(name string, how func(*x509.Certificate)) rig.Device {
			return m.managed(m.Device(m.ca, m.of, m.ann.Is, name, how))
		}
		same := func(*x509.Certificate) {}
		changed := func(name string, how func(*pki.Certificate)) rig.Device {
			d := made(name, same)
			m.Change(d, how)
			return d
		}
		good := made("Laptop", same)
		bob, of := m.enter("Bob Client", "bob@client.example")
		m.managed(of)
		m.Write(func(tx *sqlstore.Tx) error {
			p, err := tx.Person(m.Realm.ID, bob.Is.ID)
			if err != nil {
				return err
			}
			p.State = directory.Disabled
			return tx.UpdatePerson(p)
		})
		m.managed(nora)
		moved := m.Device(m.ca, m.of, m.ann.Is, "Moved")
		of.Row.Device, of.Row.Person = moved.Row.Device, m.ben.Is.ID
		m.managed(of)
		twin := m.ca.Issue(func(c *x509.Certificate) {
			c.Subject, c.SerialNumber = good.Cert.Leaf.Subject, good.Cert.Leaf.SerialNumber
		})
		const foreign = "not one of ours"
		all := map[string]struct {
			shown tls.Certificate
			says  string
			told  bool
		}{
			"run out":                            {made("E", func(c *x509.Certificate) { c.NotAfter = m.Clock.Now().Add(-time.Second) }).Cert, "has run out", true},
			"not valid yet":                      {made("F", func(c *x509.Certificate) { c.NotBefore = m.Clock.Now().Add(time.Hour) }).Cert, "not valid yet", true},
			"revoked":                            {changed("R", func(c *pki.Certificate) { c.State, c.Reason, c.Ended = pki.Revoked, pki.KeyCompromise, m.Clock.Now() }).Cert, "was revoked", true},
			"on hold":                            {changed("S", func(c *pki.Certificate) { c.State, c.Reason, c.Ended = pki.Suspended, pki.Hold, m.Clock.Now() }).Cert, "on hold", true},
			"replaced, and its day is over":      {changed("O", func(c *pki.Certificate) { c.Ends = m.Clock.Now() }).Cert, "took the place", true},
			"for servers":                        {made("U", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }).Cert, foreign, true},
			"of the sibling realm":               {nora.Cert, foreign, false},
			"same subject and serial, other key": {twin, foreign, true},
			"of its own making":                  {rig.SelfSigned(t, func(c *x509.Certificate) { c.Subject = good.Cert.Leaf.Subject }), foreign, false},
			"of somebody who is shut out":        {of.Cert, "withdrawn", true},
			"of a device somebody else enrolled": {moved.Cert, "not set up as a managed device", true},
		}
		before := len(m.all())
		for name, x := range all {
			m.Clock.Advance(time.Minute)
			refusals := m.refusals()
			a := fromDevice(t, served.Client(x.shown), "POST", "simplereenroll", "", "application/pkcs10", request(t, newKey(t)))
			if a.status != http.StatusForbidden || !strings.Contains(a.body, x.says) {
				t.Errorf("%s: %d %q", name, a.status, a.body)
			}
			if told := m.refusals() == refusals+1; told != x.told {
				t.Errorf("%s: in the trail: %v", name, told)
			}
		}
		if n := len(m.all()); n != before {
			t.Errorf("%d certificates of what was refused", n-before)
		}
		fromDevice(t, served.Client(good.Cert), "POST", "simplereenroll", "", "application/pkcs10", request(t, newKey(t))).leaf(t)
	})
}
