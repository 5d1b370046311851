package directory

import (
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"doorward/internal/tomlfile"
)

// The rules of a realm file.
//
//   - Every problem is reported with its line; a file with one problem changes nothing.
//   - Whoever applies a file may make the built-in limits stricter, never wider: session lengths (SEC S-3), the life of an
//     invitation, the password floor.
//   - Every text for people stands in every language of the realm (REQ B89): a page never mixes two.
//   - Links lead to https addresses without user names: a link in an instruction is where a worried person types next.
//   - The text of the policy is checked by the caller (authn), which knows the language; PolicyLine says where it begins.

// Languages Doorward speaks.
var Languages = []string{"en", "de", "fr", "it"}

// Motifs are the built-in drawings and marks a brand may choose.
var Motifs = []string{"north", "meridian"}

// Bounds of what a realm may set. The defaults are the widest values.
const (
	MemberIdle, MemberAbsolute = 30, 12 * 60 // minutes, SEC S-3
	StaffIdle, StaffAbsolute   = 15, 12 * 60
	InvitationDays             = 7
	InvitationDaysMost         = 14
	CertificateDays            = 730 // of a device (REQ A51)
	CertificateDaysMost        = 825
	CertificateRenewal         = 60 // days before its end, REQ A53
	CertificateOverlap         = 24 // hours, SECURITY S3
	CertificateOverlapMost     = 14 * 24
	PasswordLength             = 12
	PasswordMemory             = 19456 // KiB, the floor of Argon2id
	PasswordPasses             = 2
	PasswordLanes              = 1
	CoolingMinutes             = 60
	PrivilegedHours            = 24
	ApprovalsPerAgent          = 5  // in a day, SEC H-2
	ResetsPerAdministrator     = 10 // in a day
	SecondLookPercent          = 5
	ExemptionHours             = 72 // how long an exemption lasts at most (REQ B65)
	CallMinutes                = 10 // how long a code lives that is read to an agent, REQ A25
)

var slug = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}[a-z0-9]$`)

// ParseRealm reads a realm file. The error is tomlfile.Problems with everything that is to mend; the Realm is complete,
// with every default filled in, only when the error is nil. It needs the time zone database.
func ParseRealm(file string, text []byte) (Realm, error) {
	r := Realm{
		Brand: Brand{Hue: 262, Chroma: .09, Paper: 262, Tint: .006, Panel: .3, Round: 1, Heading: "sans", Motif: Motifs[0]},
		Session: SessionLimits{
			Idle: MemberIdle, Absolute: MemberAbsolute, StaffIdle: StaffIdle, StaffAbsolute: StaffAbsolute,
		},
		Invitation: Invitation{Days: InvitationDays}, Certificates: Certificates{Days: CertificateDays, Overlap: CertificateOverlap},
		Password: PasswordRules{Length: PasswordLength, Memory: PasswordMemory, Passes: PasswordPasses, Lanes: PasswordLanes},
		Requests: Requests{
			Cooling: CoolingMinutes, Longer: PrivilegedHours, Agent: ApprovalsPerAgent, Administrator: ResetsPerAdministrator,
			SecondLook: SecondLookPercent,
		},
		Exemptions: Exemptions{Hours: ExemptionHours},
		Calls:      Calls{Minutes: CallMinutes},
	}
	c := &check{Document: tomlfile.Read(file, text, &r), r: &r}
	if c.Unreadable() {
		return r, c.Err()
	}
	r.PolicyLine = c.TextLine("policy")
	c.door()
	c.brand()
	c.desk()
	c.limits()
	c.requests()
	c.number("exemptions.hours", r.Exemptions.Hours, 0, ExemptionHours)
	c.rollouts()
	c.apps()
	c.terms()
	c.lists()
	return r, c.Err()
}

// check gathers problems of one file.
type check struct {
	*tomlfile.Document
	r      *Realm
	spoken []string // the realm's languages that we speak too, each once
}

func (c *check) door() {
	r := c.r
	if !slug.MatchString(r.ID) {
		c.Bad("realm", "2 to 32 lower-case letters, digits and hyphens, beginning with a letter")
	}
	c.line("name", r.Name, 60)
	if c.Has("operator") {
		c.line("operator", r.Operator, 120)
	} else {
		r.Operator = r.Name
	}
	host, err := CanonicalHost(r.Host)
	if err != nil || host != r.Host {
		c.Bad("host", "a host name in lower case without port, such as login.example.com")
	}
	if prefix, is := reserved(r.Host); is {
		c.Bad("host", "%s stands before a realm's host where certificates are shown: choose another name", prefix)
	}
	if r.Origin == "" && !c.Has("origin") {
		r.Origin = "https://" + r.Host
	}
	if o, err := url.Parse(r.Origin); err != nil || o.Scheme != "https" || o.Hostname() != r.Host || o.Scheme+"://"+o.Host != r.Origin || !portFits(o) {
		c.Bad("origin", "https://%s, with a port where it is not 443, and nothing else", r.Host)
	}
	if len(r.Languages) == 0 {
		c.Bad("languages", "at least one of %s", strings.Join(Languages, " "))
	}
	for i, lang := range r.Languages {
		at := "languages[" + strconv.Itoa(i) + "]"
		switch {
		case !slices.Contains(Languages, lang):
			c.Bad(at, "%q is none of %s", lang, strings.Join(Languages, " "))
		case slices.Contains(c.spoken, lang):
			c.Bad(at, "%q stands twice", lang)
		default:
			c.spoken = append(c.spoken, lang)
		}
	}
	if _, err := time.LoadLocation(r.Zone); err != nil || r.Zone == "" || r.Zone == "Local" {
		c.Bad("zone", "a time zone such as Europe/Zurich")
	}
	if strings.TrimSpace(r.Policy) == "" {
		c.Bad("policy", "the text of the policy is missing")
	}
}

func portFits(u *url.URL) bool {
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	n, err := strconv.Atoi(u.Port())
	return err == nil && n >= 1 && n <= 65535 && n != 443 && strconv.Itoa(n) == u.Port()
}

func (c *check) brand() {
	b := c.r.Brand
	c.within("brand.hue", b.Hue, 0, 360)
	c.within("brand.chroma", b.Chroma, 0, .16)
	if c.Has("brand.paper") {
		c.within("brand.paper", b.Paper, 0, 360)
	} else {
		c.r.Brand.Paper = b.Hue
	}
	c.within("brand.tint", b.Tint, 0, .03)
	c.within("brand.panel", b.Panel, .15, .44)
	c.within("brand.round", b.Round, 1, 2)
	c.oneOf("brand.heading", b.Heading, "sans", "serif")
	c.oneOf("brand.motif", b.Motif, Motifs...)
}

func (c *check) desk() {
	d := c.r.Desk
	c.line("desk.phone", d.Phone, 40)
	number := strings.Map(func(r rune) rune {
		if strings.ContainsRune("+ ()/-.", r) {
			return -1
		}
		return r
	}, d.Phone)
	if d.Phone != "" && (len(number) < 3 || strings.Trim(number, "0123456789") != "") {
		c.Bad("desk.phone", "three digits at least, spaces and + ( ) / - . : it becomes a link to call")
	}
	if a, err := Canonical(d.Mail); err != nil || a != d.Mail {
		c.Bad("desk.mail", "an e-mail address in lower case")
	} else if _, err := mail.ParseAddress(d.Mail); err != nil {
		c.Bad("desk.mail", "an e-mail address that mail programs understand")
	}
	c.localized("desk.hours", d.Hours, 200, false)
	c.line("desk.address", d.Place, 200)
}

func (c *check) limits() {
	s, p := &c.r.Session, c.r.Password
	c.number("session.idle_minutes", s.Idle, 1, MemberIdle)
	c.number("session.absolute_minutes", s.Absolute, 5, MemberAbsolute)
	if !c.Has("session.staff_idle_minutes") { // staff follow where members' sessions are shorter still
		s.StaffIdle = min(StaffIdle, s.Idle)
	} else {
		c.number("session.staff_idle_minutes", s.StaffIdle, 1, min(StaffIdle, max(s.Idle, 1)))
	}
	if !c.Has("session.staff_absolute_minutes") {
		s.StaffAbsolute = min(StaffAbsolute, s.Absolute)
	} else {
		c.number("session.staff_absolute_minutes", s.StaffAbsolute, 5, min(StaffAbsolute, max(s.Absolute, 5)))
	}
	if s.Idle > s.Absolute {
		c.Bad("session.idle_minutes", "longer than absolute_minutes")
	}
	if s.StaffIdle > s.StaffAbsolute {
		c.Bad("session.staff_idle_minutes", "longer than staff_absolute_minutes")
	}
	c.number("invitation.days", c.r.Invitation.Days, 1, InvitationDaysMost)
	c.number("certificates.days", c.r.Certificates.Days, 1, CertificateDaysMost)
	if c.Has("certificates.renewal_days") {
		c.number("certificates.renewal_days", c.r.Certificates.Renewal, 1, max(c.r.Certificates.Days-1, 1))
	}
	c.number("certificates.overlap_hours", c.r.Certificates.Overlap, 1, CertificateOverlapMost)
	if p := c.r.Certificates.Publish; p != "" {
		u, err := url.Parse(p)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
			c.Bad("certificates.publish", "must be http://HOST or https://HOST, where the paths below /pki/ are served")
		}
	}
	c.number("password.length", p.Length, PasswordLength, 64)
	c.number("password.memory_kib", p.Memory, PasswordMemory, 1<<20)
	c.number("password.passes", p.Passes, PasswordPasses, 16)
	c.number("password.lanes", p.Lanes, PasswordLanes, 8)
}

// line wants one line of visible text, at most n characters.
func (c *check) line(path, s string, n int) {
	switch {
	case strings.TrimSpace(s) == "":
		c.Bad(path, "missing or empty")
	case s != strings.TrimSpace(s):
		c.Bad(path, "begins or ends with a space")
	case utf8.RuneCountInString(s) > n:
		c.Bad(path, "longer than %d characters", n)
	case strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		c.Bad(path, "has a line break or another character that does not print")
	}
}

// text wants text of at most n characters in which lines may break.
func (c *check) text(path, s string, n int) {
	switch {
	case strings.TrimSpace(s) == "":
		c.Bad(path, "missing or empty")
	case utf8.RuneCountInString(s) > n:
		c.Bad(path, "longer than %d characters", n)
	case strings.ContainsFunc(s, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }):
		c.Bad(path, "has a character that does not print")
	}
}

// localized wants a text in every language of the realm and in no other.
func (c *check) localized(path string, l Localized, n int, multiline bool) {
	for _, lang := range c.spoken {
		switch s, ok := l[lang]; {
		case !ok:
			c.Bad(path, "missing in %q", lang)
		case multiline:
			c.text(path+"."+lang, s, n)
		default:
			c.line(path+"."+lang, s, n)
		}
	}
	for lang := range l {
		if len(c.spoken) > 0 && !slices.Contains(c.spoken, lang) {
			c.Bad(path+"."+lang, "the realm does not speak %q", lang)
		}
	}
}

func (c *check) within(path string, v, low, high float64) {
	if !(v >= low && v <= high) { // also refuses nan
		c.Bad(path, "%v is not between %v and %v", v, low, high)
	}
}

func (c *check) number(path string, v, low, high int) {
	if v < low || v > high {
		c.Bad(path, "%d is not between %d and %d", v, low, high)
	}
}

func (c *check) oneOf(path, v string, of ...string) {
	if !slices.Contains(of, v) {
		c.Bad(path, "%q is none of %s", v, strings.Join(of, ", "))
	}
}

// link wants an https address with a host name and without a user name, a port is fine.
func (c *check) link(path, s string) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.User != nil || len(s) > 500 || u.Opaque != "" || strings.HasSuffix(u.Host, ":") ||
		strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '\\' }) {
		c.Bad(path, "not an https address")
		return
	}
	if host, err := CanonicalHost(u.Hostname()); err != nil || host != u.Hostname() {
		c.Bad(path, "not an https address of a host in lower case")
	}
}
