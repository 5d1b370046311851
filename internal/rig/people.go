package rig

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"math/bits"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"time"

	"doorward/internal/directory"
	"doorward/internal/helpdesk"
	"doorward/internal/mail"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// Origin is the address of the rig's realm.
const Origin = "https://" + Host

// inProcess answers requests by the rig's handler, as if they came from a network address.
type inProcess struct {
	rig  *Rig
	from netip.Addr
	show []tls.Certificate
}

// RoundTrip implements http.RoundTripper.
func (p inProcess) RoundTrip(req *http.Request) (*http.Response, error) {
	in := req.Clone(req.Context())
	in.RequestURI = req.URL.RequestURI()
	in.RemoteAddr = netip.AddrPortFrom(p.from, 50000).String()
	in.Host = req.URL.Host
	in.TLS = &tls.ConnectionState{ServerName: req.URL.Hostname()}
	to := p.rig.Handler
	if _, asks := p.rig.site.CertRealm(req.URL.Hostname()); asks {
		to = p.rig.CertHost
		if len(p.show) > 0 {
			in.TLS.PeerCertificates = []*x509.Certificate{p.show[0].Leaf}
		}
	}
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	to.ServeHTTP(w, in)
	res := w.Result()
	res.Request = req
	return res, nil
}

// Browser is a new browser without JavaScript at a network address.
func (r *Rig) Browser(network string) *walker.Client {
	r.T.Helper()
	c := walker.New(nil, "")
	c.HTTP.Transport = inProcess{r, netip.MustParseAddr(network), nil}
	return c
}

// Somebody is a person of the realm with what they know and have, and the browser they signed in with.
type Somebody struct {
	Is      directory.Person
	Mind    *walker.Person
	Browser *walker.Client
}

// Password is what everybody in the rig has as a password.
const Password = "plum harbour 77 violin"

// Mind is somebody who knows an address and the password, and whose authenticator keeps the rig's time.
func (r *Rig) Mind(address string) *walker.Person {
	return &walker.Person{Address: address, Password: Password, Now: r.Clock.Now, Wait: r.Clock.Until}
}

// Join invites somebody and walks them through the set-up until they stand in their account.
func (r *Rig) Join(org directory.Organization, role directory.Role, name, address string) *Somebody {
	r.T.Helper()
	p, link := r.Invite(org, role, name, address)
	s := &Somebody{Is: p, Mind: r.Mind(address), Browser: r.Browser("192.0.2.10")}
	page, err := s.Browser.Get(link)
	r.must(err)
	if _, err = s.Mind.Walk(s.Browser, page, walker.At("/account")); err != nil {
		r.T.Fatalf("%s joins: %v", address, err)
	}
	r.Read(func(tx *sqlstore.Tx) (err error) { s.Is, err = tx.Person(p.Realm, p.ID); return err })
	return s
}

// SignIn brings somebody in again, in a new browser.
func (r *Rig) SignIn(s *Somebody, network string) *walker.Client {
	r.T.Helper()
	c := r.Browser(network)
	page, err := c.Get(Origin + "/signin")
	r.must(err)
	if _, err = s.Mind.Walk(c, page, walker.At("/account")); err != nil {
		r.T.Fatalf("%s signs in: %v", s.Is.Address, err)
	}
	return c
}

// Letter is one mail as it would leave the house. Decoys have no address.
type Letter struct {
	mail.Message
	Text string
}

// Deliver takes all that is due out of the outbox, composes it, and marks it sent.
func (r *Rig) Deliver() []Letter {
	r.T.Helper()
	var out []Letter
	r.Write(func(tx *sqlstore.Tx) error {
		out = nil
		due, err := tx.ClaimMail(r.Clock.Now(), time.Minute, 1000)
		if err != nil {
			return err
		}
		for _, m := range due {
			l := Letter{Message: m}
			if m.To != "" {
				var to directory.Person
				if m.Person != "" {
					if to, err = tx.Person(m.Realm, m.Person); err != nil {
						return err
					}
				}
				composed, err := mail.Compose(r.Realm.Realm, to, mail.Deniable(testdb.Ring(), m), r.Clock.Now())
				if err != nil {
					return err
				}
				l.Text = composed.Text
			}
			out = append(out, l)
			m.State, m.Done = mail.Sent, r.Clock.Now()
			if err := tx.FinishMail(m); err != nil {
				return err
			}
		}
		return nil
	})
	return out
}

// Sessions counts the live sessions of everybody.
func (r *Rig) Sessions(people ...*Somebody) int {
	r.T.Helper()
	n := 0
	r.Read(func(tx *sqlstore.Tx) error {
		n = 0
		for _, p := range people {
			all, err := tx.Sessions(p.Is.Realm, p.Is.ID)
			if err != nil {
				return err
			}
			n += len(all)
		}
		return nil
	})
	return n
}

// Step is how long an authenticator shows a code.
const Step = 30 * time.Second

// Holds says what somebody can sign in with: kinds, ids, states and versions, for comparing before and after.
func (r *Rig) Holds(s *Somebody) string {
	r.T.Helper()
	out := ""
	r.Read(func(tx *sqlstore.Tx) error {
		out = ""
		creds, err := tx.Credentials(s.Is.Realm, s.Is.ID)
		for _, c := range creds {
			out += string(c.Kind) + " " + c.ID + " " + string(c.State) + "; "
		}
		return err
	})
	return out
}

// Proof is what the script of the request form answers to a fresh challenge.
func (r *Rig) Proof() helpdesk.Proof { return Prove(r.Requests.Challenge(r.Realm.ID, "")) }

// Prove does the work that a challenge asks for.
func Prove(challenge string) helpdesk.Proof {
	for i := 0; ; i++ {
		answer := strconv.Itoa(i)
		sum := sha256.Sum256([]byte(challenge + "." + answer))
		if bits.LeadingZeros64(binary.BigEndian.Uint64(sum[:8])) >= helpdesk.ProofBits {
			return helpdesk.Proof{Challenge: challenge, Answer: answer}
		}
	}
}
