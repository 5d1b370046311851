package mail

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/mail"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"doorward/internal/directory"
)

// Rules of a mail:
//   - It has a text part, whose first link is the one to follow. The HTML part says the same, with nothing fetched from
//     anywhere, and can be read where styles are dropped.
//   - Links lead to the realm's own origin, which comes from configuration. A message with any other link is not sent
//     (SEC N-2).
//   - What tells a person about their account says who did it, when and where, in their language and zone, and where to
//     say that it was not them.
//   - Nothing that anybody typed can become a header, a link or markup.

// ErrCompose says that a message cannot be written: an unknown template, a missing or foreign link, a bad address. No
// retry mends it.
type ErrCompose struct{ Why string }

func (e *ErrCompose) Error() string { return "mail: " + e.Why }

func cannot(format string, args ...any) error { return &ErrCompose{fmt.Sprintf(format, args...)} }

// Fact is one line of who, when and where.
type Fact struct{ Label, Value string }

type paragraph struct {
	Heading bool
	Text    string
}

// page is what both parts are written from.
type page struct {
	Lang, Realm, Title, Hello, Colon string
	Lead                             []string
	Facts                            []Fact
	Then                             []string
	Action, Link                     string
	Deny                             bool
	CodeLead, Code                   string
	Small                            []string
	Copy                             []paragraph
	Never, Foot, Why                 string
	Light, Dark                      palette
	Serif                            bool
	Radius                           string
}

// Compose writes a message to a person in their language. For a decoy (To empty) it does the same work. now becomes
// the Date. It fails with *ErrCompose when the message can never be sent.
func Compose(r directory.Realm, p directory.Person, m Message, now time.Time) (Composed, error) {
	s, ok := templates[m.Template]
	if !ok {
		return Composed{}, cannot("no template %q", m.Template)
	}
	v, err := newVoice(r, p, m)
	if err != nil {
		return Composed{}, err
	}
	w := &writer{voice: v, r: r, p: p, m: m, s: s}
	pg, err := w.page()
	if err != nil {
		return Composed{}, err
	}
	c := Composed{
		ID: m.ID, Host: r.Host, To: m.To, FromName: plain(r.Name), From: r.Desk.Mail, Language: v.lang, Template: m.Template, Date: now.UTC(),
		Subject: w.words("subject"), Text: pg.text(),
	}
	if c.From == "" {
		c.From = "no-reply@" + r.Host
	}
	var html bytes.Buffer
	if err := layout.Execute(&html, pg); err != nil {
		return Composed{}, fmt.Errorf("mail %s: %w", m.Template, err)
	}
	c.HTML = html.String()
	if v.err != nil {
		return Composed{}, v.err
	}
	if s.File {
		if c.File, err = file(m); err != nil {
			return Composed{}, err
		}
	}
	return c, c.check()
}

// file is what goes with a message: a PKCS #12 file under a name that nobody typed.
func file(m Message) (*Attachment, error) {
	b, err := base64.StdEncoding.DecodeString(m.Args["file"])
	name := m.Args["file_name"]
	if err != nil || len(b) == 0 || name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" {
		return nil, cannot("%s has no file", m.Template)
	}
	return &Attachment{Name: name, Type: "application/x-pkcs12", Bytes: b}, nil
}

//go:embed layout.html
var layoutText string

var layout = template.Must(template.New("mail").Parse(layoutText))

type writer struct {
	*voice
	r directory.Realm
	p directory.Person
	m Message
	s shape
}

// words says one of the template's own texts. Names may stand in all of them.
func (w *writer) words(part string) string {
	return w.say(w.m.Template+"."+part, "realm", plain(w.r.Name), "inviter", foreign(w.m.Args["inviter"]), "address", plain(w.m.To),
		"name", foreign(w.m.Args["name"]), "version", foreign(w.m.Args["version"]), "factor", w.factor(), "number", foreign(w.m.Args["number"]), "left", foreign(w.m.Args["left"]))
}

func (w *writer) factor() string {
	kind := w.kind(w.m.Args["kind"])
	name := foreign(w.m.Args["factor"])
	if name == "" {
		return w.say("quoted", "text", kind)
	}
	return w.say("named", "name", name, "kind", kind)
}

func (w *writer) page() (page, error) {
	a, s := w.m.Args, w.s
	pg := page{
		Lang: w.lang, Realm: plain(w.r.Name), Title: w.words("title"), Hello: w.say("hello.nobody"), Colon: w.say("colon"),
		Never: w.say("never"), Why: w.say("why."+s.Why, "realm", plain(w.r.Name)), Light: light(w.r.Brand), Dark: dark(w.r.Brand),
		Serif: w.r.Brand.Heading == "serif", Radius: fmt.Sprintf("%.0fpx", 8*min(max(w.r.Brand.Round, 1), 2)), Foot: plain(w.r.Name),
	}
	if w.r.Desk.Place != "" {
		pg.Foot += ", " + plain(w.r.Desk.Place)
	}
	pg.Foot += "."
	if name := foreign(w.p.Name); name != "" {
		pg.Hello = w.say("hello", "name", name)
	}
	lead := "lead"
	if a["inviter"] == "" && w.has(w.m.Template+".lead-nobody") {
		lead = "lead-nobody"
	}
	pg.Lead = []string{w.words(lead)}
	for _, more := range []string{"user", "check"} {
		if w.has(w.m.Template + "." + more) {
			pg.Lead = append(pg.Lead, w.words(more))
		}
	}
	if more := plain(a[s.More]); more != "" {
		pg.Lead = append(pg.Lead, more)
	}
	for _, f := range s.Facts {
		if value := w.fact(f); value != "" {
			pg.Facts = append(pg.Facts, Fact{w.say("fact." + f), value})
		}
	}
	if err := w.link(&pg); err != nil {
		return pg, err
	}
	if s.Copy {
		pg.Copy = w.terms()
	}
	pg.Small = append(pg.Small, w.desk()...)
	return pg, nil
}

// link sets what the reader is to follow, and what belongs to it.
func (w *writer) link(pg *page) error {
	a, s := w.m.Args, w.s
	switch {
	case s.Notice:
		pg.Link, pg.Action, pg.Deny = a["not_me"], w.say("not-me"), true
		pg.Then = []string{w.say("was-you")}
		pg.Small = []string{w.say("not-me.about")}
	case s.Stop && s.Link == "cancel":
		pg.Link, pg.Action, pg.Deny = a["cancel"], w.say("stop"), true
		pg.Small = []string{w.say("stop.about")}
	case s.Link != "":
		pg.Link, pg.Action = a[s.Link], w.words("action")
	default:
		pg.Link, pg.Action = w.r.Origin+s.To, w.words("action")
	}
	if err := own(w.r.Origin, pg.Link); err != nil {
		return err
	}
	if s.Stop && s.Link != "cancel" {
		if err := own(w.r.Origin, a["cancel"]); err != nil {
			return err
		}
		pg.Small = append(pg.Small, w.say("stop.also", "cancel", a["cancel"]))
	}
	if !s.Code {
		return nil
	}
	if code := plain(a["code"]); code != "" {
		pg.Code, pg.CodeLead = code, w.say("code")
	}
	ends, err := time.Parse(time.RFC3339, a["expires"])
	if err != nil {
		return cannot("%s does not say when its link ends", w.m.Template)
	}
	pg.Small = append(pg.Small, w.say("until", "expires", w.when(ends)))
	return nil
}

// own accepts links of the realm only, and only such that stand in a text as they are.
func own(origin, link string) error {
	u, err := url.Parse(link)
	if err != nil || origin == "" || !strings.HasPrefix(link, origin+"/") || u.Scheme+"://"+u.Host != origin || u.User != nil ||
		len(link) > 900 || strings.ContainsAny(link, "<>\"'`()[]{}\\ \t\r\n") || !ascii(link) {
		return cannot("a link does not lead to the realm") // never quoted: it may hold a secret
	}
	return nil
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf || s[i] < ' ' {
			return false
		}
	}
	return true
}

func (w *writer) fact(name string) string {
	a := w.m.Args
	switch name {
	case "who":
		return foreign(a["who"])
	case "when":
		at, err := time.Parse(time.RFC3339, a["at"])
		if err != nil {
			at = w.m.Created
		}
		return w.when(at)
	case "where":
		return w.where(a)
	case "device": // which was connected; where it was allowed is "where"
		return w.where(map[string]string{"browser": a["device_browser"], "network": a["device_network"]})
	case "person":
		if a["address"] == "" {
			return foreign(a["name"])
		}
		return strings.TrimSpace(foreign(a["name"]) + " <" + plain(a["address"]) + ">")
	case "from":
		from, err := time.Parse(time.RFC3339, a["from"])
		if err != nil || a["from"] == a["at"] {
			return "" // at once
		}
		return w.when(from)
	case "until":
		until, err := time.Parse(time.RFC3339, a["until"])
		if err != nil {
			return ""
		}
		return w.when(until)
	case "exempt":
		return w.kind(a["kind"])
	case "about":
		if key := "about." + a["why"]; w.has(key) {
			return w.say(key)
		}
		return ""
	case "role":
		if key := "role." + a["role"]; w.has(key) {
			return w.say(key)
		}
		return ""
	case "language":
		if key := "lang." + a["language"]; w.has(key) {
			return w.say(key)
		}
		return ""
	default:
		return foreign(a[name])
	}
}

func (w *writer) desk() []string {
	d := w.r.Desk
	var out []string
	switch hours := plain(d.Hours.For(w.lang)); {
	case d.Phone != "" && hours != "":
		out = append(out, w.say("desk.phone-hours", "phone", plain(d.Phone), "hours", hours))
	case d.Phone != "":
		out = append(out, w.say("desk.phone", "phone", plain(d.Phone)))
	}
	if d.Mail != "" {
		out = append(out, w.say("desk.mail", "mail", plain(d.Mail)))
	}
	if len(out) == 0 {
		return nil
	}
	return []string{strings.Join(out, " ")}
}

// terms is the text that was accepted, as long as it is still the realm's: a copy of another text would be worse than none.
func (w *writer) terms() []paragraph {
	t := w.r.Terms
	text, ok := t.Text[w.m.Args["language"]]
	if !ok || t.Version != w.m.Args["version"] {
		return nil
	}
	var out []paragraph
	for _, line := range strings.Split(text, "\n") {
		if line = plain(line); line == "" {
			continue
		}
		heading, is := strings.CutPrefix(line, "# ")
		out = append(out, paragraph{is, heading})
	}
	return out
}

// text writes the text part.
func (p page) text() string {
	var b strings.Builder
	para := func(s string) {
		if s != "" {
			b.WriteString(s + "\n\n")
		}
	}
	para(p.Title)
	para(p.Hello)
	for _, s := range p.Lead {
		para(s)
	}
	var facts []string
	for _, f := range p.Facts {
		facts = append(facts, f.Label+p.Colon+" "+f.Value)
	}
	para(strings.Join(facts, "\n"))
	for _, s := range p.Then {
		para(s)
	}
	para(p.Action + p.Colon + "\n" + p.Link)
	if p.Code != "" {
		para(p.CodeLead + "\n" + p.Code)
	}
	for _, s := range p.Small {
		para(s)
	}
	for _, c := range p.Copy {
		para(c.Text)
	}
	para(p.Never)
	b.WriteString("-- \n" + p.Foot + " " + p.Why + "\n")
	return b.String()
}

// check refuses what could not be sent as one mail to one address.
func (c Composed) check() error {
	if !bare(c.From) || c.To != "" && !bare(c.To) {
		return cannot("an address is none")
	}
	if c.ID == "" || strings.ContainsAny(c.ID+c.Host, "<>@ \t\r\n") || !ascii(c.ID+c.Host) {
		return cannot("the message has no id")
	}
	return nil
}

// bare accepts an address and nothing around it.
func bare(a string) bool {
	got, err := mail.ParseAddress(a)
	return err == nil && got.Address == a && got.Name == "" && plain(a) == a && !strings.ContainsAny(a, "<>, ")
}
