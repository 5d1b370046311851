package rig_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"doorward/internal/directory"
	"doorward/internal/keyfile"
	"doorward/internal/pki"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// shelf is a realm with certificates of every kind, of two customers.
type shelf struct {
	*counter
	bert *rig.Somebody // administrator of the other customer
	n    int
}

// put stores a certificate of somebody, made at a moment and good for two years.
func (s *shelf) put(who directory.Person, made time.Time, state pki.State, change ...func(*pki.Certificate)) pki.Certificate {
	s.T.Helper()
	s.n++
	id := fmt.Sprintf("shelf-%04d", s.n)
	c := pki.Certificate{
		ID: id, Realm: who.Realm, Person: who.ID, Device: id, Name: "Device of " + who.Name, Issuer: "issuer", Serial: id, Key: id, SHA256: id, State: state,
		Approver: s.ben.Is.ID, Requester: s.ben.Is.ID, Created: made, NotBefore: made, NotAfter: made.AddDate(2, 0, 0),
	}
	for _, f := range change {
		f(&c)
	}
	s.Write(func(tx *sqlstore.Tx) error { return tx.AddCertificate(c) })
	return c
}

// parcel stores how a certificate travels.
func (s *shelf) parcel(c pki.Certificate, state keyfile.State, until time.Time) {
	s.T.Helper()
	s.Write(func(tx *sqlstore.Tx) error {
		return tx.AddParcel(keyfile.Parcel{ID: "parcel-" + c.ID, Realm: c.Realm, Certificate: c.ID, Person: c.Person, Contact: s.hana.Is.ID, Target: keyfile.Windows, Link: []byte(c.ID), State: state, Created: c.Created, Until: until})
	})
}

func newShelf(t *testing.T, store *sqlstore.Store) *shelf {
	t.Helper()
	s := &shelf{counter: newCounter(t, store)}
	s.bert = s.Join(s.Organization("Birkenfeld Optik", false), directory.Administrator, "Bert Birkenfeld", "bert@birkenfeld.example")
	now := s.Clock.Now()
	ends := func(days int) func(*pki.Certificate) {
		return func(c *pki.Certificate) { c.NotAfter = now.AddDate(0, 0, days) }
	}
	follows := func(old pki.Certificate, approver string) func(*pki.Certificate) {
		return func(c *pki.Certificate) { c.Replaces, c.Device, c.Approver = old.ID, old.Device, approver }
	}
	over := func(c *pki.Certificate) { c.Ended, c.Reason = now, pki.KeyCompromise }
	for _, who := range []directory.Person{s.anna.Is, s.bert.Is} {
		old := s.put(who, now.AddDate(0, -3, 0), pki.Active, ends(20))
		s.put(who, now, pki.Active, follows(old, ""))                                                           // a renewal: the one before ends, and nobody has to care
		s.put(who, now, pki.Issued, follows(s.put(who, now.AddDate(0, -3, 0), pki.Revoked, over), s.ben.Is.ID)) // a replacement
		s.put(who, now.AddDate(-3, 0, 0), pki.Active, ends(10))
		s.put(who, now.AddDate(-3, 0, 0), pki.Active, ends(45))
		s.put(who, now.AddDate(-3, 0, 0), pki.Issued, ends(80))
		s.put(who, now.AddDate(-3, 0, 0), pki.Active, ends(-5))
		s.put(who, now.AddDate(-3, 0, 0), pki.Suspended, ends(5), func(c *pki.Certificate) { c.Ended = now })
		s.put(who, now.AddDate(-3, 0, 0), pki.Suspended, ends(-5), func(c *pki.Certificate) { c.Ended = now }) // run out: no longer held
		s.put(who, now.AddDate(0, -2, 0), pki.Revoked, func(c *pki.Certificate) { c.Ended = now.AddDate(0, -1, 0) })
		s.put(who, now, pki.Reserved, func(c *pki.Certificate) { c.SHA256 = "" }) // never signed
		s.parcel(s.put(who, now, pki.Issued), keyfile.Ready, now.Add(time.Hour))
		s.parcel(s.put(who, now, pki.Issued), keyfile.Ready, now.Add(-time.Hour)) // the sweep has not come by yet
		s.parcel(s.put(who, now, pki.Issued), keyfile.Ended, now.Add(-time.Hour))
		s.parcel(s.put(who, now, pki.Issued), keyfile.Fetched, now.Add(time.Hour))
	}
	return s
}

var (
	figure = regexp.MustCompile(`<a href="(/console/certificates/[^"]*)"[^>]*>(?:<strong>[^<]*</strong></a>(?s:.*?)<span class="pill[^"]*">(\d+)</span>|(\d+)</a>)`)
	lines  = regexp.MustCompile(`<tr role="row"><td`)
	nexts  = regexp.MustCompile(`<a class="link" href="(/console/certificates/[^"]*at=[^"]*)"`)
)

// figures are the numbers of a page by where they lead.
func (s *shelf) figures(b *walker.Client, address string) map[string]int {
	s.T.Helper()
	p := s.get(b, rig.Origin+address)
	if p.Status != http.StatusOK {
		s.T.Fatalf("%s: %d", address, p.Status)
	}
	out := map[string]int{}
	for _, m := range figure.FindAllStringSubmatch(string(p.Body), -1) {
		n, err := strconv.Atoi(m[2] + m[3])
		s.must(err)
		out[strings.ReplaceAll(m[1], "&amp;", "&")] = n
	}
	return out
}

// listed walks the pages of a list and says what they hold.
func (s *shelf) listed(b *walker.Client, at string) (n int, all string) {
	s.T.Helper()
	seen := map[string]bool{}
	for at != "" {
		p := s.get(b, rig.Origin+at)
		if p.Status != http.StatusOK {
			s.T.Fatalf("%s: %d", at, p.Status)
		}
		for _, l := range p.Links() {
			if strings.Contains(l, "/certificates/shelf-") {
				if seen[l] {
					s.T.Errorf("%s twice in %s", l, at)
				}
				seen[l] = true
			}
		}
		n, all = n+len(lines.FindAll(p.Body, -1)), all+p.Main()
		m := nexts.FindSubmatch(p.Body)
		if at = ""; m != nil && !strings.Contains(string(p.Body), `href="`+string(m[1])+`"><svg`) {
			at = strings.ReplaceAll(string(m[1]), "&amp;", "&")
		}
	}
	return n, all
}

// The database counts, and every figure is what its list holds: of all customers for staff, of their own people for an
// administrator, of nobody for anybody else.
func TestREQ_A56_A57_CertificatesPerMonthAndWhatIsOpen(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		s := newShelf(t, store)
		zone, err := time.LoadLocation(s.Realm.Zone)
		s.must(err)
		this := s.Clock.Now().In(zone).Format("2006-01")
		before := time.Date(s.Clock.Now().In(zone).Year(), s.Clock.Now().In(zone).Month(), 1, 0, 0, 0, 0, zone).AddDate(0, -3, 0).Format("2006-01")
		of := "?organization=" + s.anna.Is.Organization
		with := func(path, narrow string) string {
			if narrow == "" {
				return path
			}
			u, err := url.Parse(path)
			s.must(err)
			q := u.Query()
			q.Set("organization", s.anna.Is.Organization)
			return u.Path + "?" + q.Encode()
		}
		for _, as := range []struct {
			name   string
			who    *walker.Client
			narrow string
			times  int
		}{{"staff", s.ben.Browser, "", 2}, {"staff, of one customer", s.ben.Browser, of, 1}, {"an administrator", s.ada.Browser, "", 1}, {"an administrator who asks for others", s.bert.Browser, of, 1}} {
			got, link := s.figures(as.who, "/console/certificates"+as.narrow), as.narrow
			if as.who != s.ben.Browser {
				link = "" // theirs is the only one
			}
			for path, want := range map[string]int{
				"/console/certificates/late": 2, "/console/certificates/sent": 1, "/console/certificates/held": 1, "/console/certificates/ended?month=" + this: 1,
				"/console/certificates/ending?days=30": 1, "/console/certificates/ending?days=60": 2, "/console/certificates/ending?days=90": 3,
				"/console/certificates/made?month=" + this: 6, "/console/certificates/made?month=" + this + "&way=first": 4,
				"/console/certificates/made?month=" + this + "&way=renewal": 1, "/console/certificates/made?month=" + this + "&way=replacement": 1,
				"/console/certificates/made?month=" + before: 2,
			} {
				if n, ok := got[with(path, link)]; !ok || n != want*as.times {
					t.Errorf("%s, %s: %d, want %d in %v", as.name, path, n, want*as.times, got)
				}
			}
			for path, n := range got {
				rows, text := s.listed(as.who, path)
				if rows != n {
					t.Errorf("%s: %s says %d and lists %d", as.name, path, n, rows)
				}
				foreign := map[bool]string{true: "Alder", false: "irkenfeld"}[as.who == s.bert.Browser]
				if (as.times == 1) && strings.Contains(text, foreign) {
					t.Errorf("%s reads of others at %s", as.name, path)
				}
				if as.who == s.ben.Browser && (strings.Contains(text, "Device of") || strings.Contains(text, "anna@alder")) {
					t.Errorf("%s: no veil in %s", as.name, path)
				}
			}
		}
		for path, want := range map[string]int{"/console/certificates": http.StatusForbidden, "/console/certificates/sent": http.StatusForbidden} {
			if p := s.get(s.anna.Browser, rig.Origin+path); p.Status != want {
				t.Errorf("a member at %s: %d", path, p.Status)
			}
		}
		for _, path := range []string{"/console/certificates/all", "/console/certificates?organization=none", "/console/certificates/sent?organization=none"} {
			if p := s.get(s.ben.Browser, rig.Origin+path); p.Status != http.StatusNotFound {
				t.Errorf("%s: %d", path, p.Status)
			}
		}
		// What helps most stands beside each.
		for path, want := range map[string]string{
			"sent": "Hana Contact calls and says the password", "late": "replace the certificate", "held": "let it in again, or revoke it", "ending?days=30": "They can renew it under My account",
		} {
			if _, text := s.listed(s.ben.Browser, "/console/certificates/"+path); !strings.Contains(text, want) {
				t.Errorf("%s does not say %q: %s", path, want, text)
			}
		}
	})
}

// A long list is read page by page: each certificate once, also where many have the same moment.
func TestREQ_A57_CertificatesAreListedOnce(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		s := newShelf(t, store)
		now := s.Clock.Now()
		for i := range 60 {
			state := []pki.State{pki.Active, pki.Suspended, pki.Revoked}[i%3]
			s.put(s.anna.Is, now.Add(-time.Duration(i/20)*time.Minute), state, func(c *pki.Certificate) {
				c.NotAfter = now.AddDate(0, 0, 25)
				if state == pki.Revoked {
					c.Ended = now
				}
			})
		}
		got := s.figures(s.ben.Browser, "/console/certificates")
		long := 0
		for path, n := range got {
			if rows, _ := s.listed(s.ben.Browser, path); rows != n {
				t.Errorf("%s says %d and lists %d", path, n, rows)
			}
			if n > 25 {
				long++
			}
		}
		if long < 2 {
			t.Errorf("no long list: %v", got)
		}
	})
}
