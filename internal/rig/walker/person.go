package walker

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Person is somebody who walks through the steps of a flow as the pages ask: they know their address and password, and
// keep their authenticator's secret once a page has shown it.
type Person struct {
	Address  string
	Password string
	Secret   string // of the authenticator, base32; filled when a page shows a new one
	Now      func() time.Time
	Wait     func(until time.Time)                    // sleeps, or moves a fake clock
	Code     func(secret string, at time.Time) string // an authenticator app; nil for the one built in
	Seen     func(p *Page)                            // looks at each page before it is answered; may be nil
	Asked    func(p *Page, f *Form) (handled bool)    // answers a page its own way; may be nil

	used int64 // the last 30-second step whose code was handed in
}

// step of an authenticator, in seconds.
const step = 30

// TOTP is RFC 6238 with SHA-1, 6 digits and 30 s: what authenticator apps do, written apart from the product's.
func TOTP(secret string, at time.Time) string {
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ToUpper(strings.Join(strings.Fields(secret), "")))
	if err != nil {
		return "no base32 secret"
	}
	mac := hmac.New(sha1.New, key)
	_ = binary.Write(mac, binary.BigEndian, at.Unix()/step)
	sum := mac.Sum(nil)
	o := sum[len(sum)-1] & 15
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[o:o+4])&0x7fffffff%1000000)
}

// NextCode waits until the authenticator shows a code that was not used, and uses it.
func (p *Person) NextCode() string {
	p.Ready()
	now := p.Now()
	p.used = now.Unix() / step
	if p.Code != nil {
		return p.Code(p.Secret, now)
	}
	return TOTP(p.Secret, now)
}

// Ready waits until the next code will be a fresh one, without using it.
func (p *Person) Ready() {
	if p.used >= p.Now().Unix()/step {
		p.Wait(time.Unix((p.used+1)*step, 0))
	}
}

// Answer fills the form of a step with what it asks for.
func (p *Person) Answer(page *Page) (*Form, error) {
	if key := page.Text("totp-key"); key != "" {
		p.Secret = strings.Join(strings.Fields(key), "")
	}
	f := page.Form()
	if f == nil {
		return nil, fmt.Errorf("no form at %s (%q)", page.URL, page.Title())
	}
	if p.Asked != nil && p.Asked(page, f) {
		return f, nil
	}
	f.Fill("username", p.Address)
	f.Fill("email", p.Address)
	f.Fill("current-password", p.Password)
	f.Fill("new-password", p.Password)
	if f.Asks("one-time-code") {
		f.Fill("one-time-code", p.NextCode())
	}
	f.choose()
	return f, nil
}

// choose picks the first of radio buttons that must be chosen and were not, and ticks what is required.
func (f *Form) choose() {
	for _, n := range f.fields {
		name := attr(n, "name")
		if kind := attr(n, "type"); (kind == "radio" || kind == "checkbox") && has(n, "required") && f.Values.Get(name) == "" {
			f.Values.Set(name, on(n))
		}
	}
}

// Walk answers step after step until done says that the person has arrived. It fails when a step does not lead on.
func (p *Person) Walk(c *Client, page *Page, done func(*Page) bool) (*Page, error) {
	for range 40 {
		if p.Seen != nil {
			p.Seen(page)
		}
		if done(page) {
			return page, nil
		}
		if page.Status >= http.StatusBadRequest && page.Form() == nil {
			return page, fmt.Errorf("status %d at %s (%q): %s", page.Status, page.URL, page.Title(), page.Main())
		}
		if e := page.Text("error-summary"); e != "" {
			return page, fmt.Errorf("at %s (%q): %s", page.URL, page.Title(), e)
		}
		f, err := p.Answer(page)
		if err != nil {
			return page, err
		}
		if page, err = c.Submit(f); err != nil {
			return nil, err
		}
	}
	return page, fmt.Errorf("forty steps, and still at %s (%q)", page.URL, page.Title())
}

// At reports a page whose path begins with prefix: where a walk may end.
func At(prefix string) func(*Page) bool {
	return func(p *Page) bool { return p.Status == http.StatusOK && strings.HasPrefix(p.URL.Path, prefix) }
}
