package demo

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/http"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"doorward/internal/fault"
	"doorward/internal/web"
)

// The mailbox shows DIR/mail. A mail's HTML part is somebody else's page: it is shown in a frame of its own that runs
// nothing, loads nothing, and may only follow the link that the reader clicks.

// MailboxPage lists the mails, newest first.
type MailboxPage struct {
	web.View
	Mails []Letter
	More  bool
}

// Letter is one mail of the list.
type Letter struct {
	File    string
	To      string
	Subject string
	At      time.Time
}

// MessagePage is one mail.
type MessagePage struct {
	web.View
	Letter
	From string
	Text []Piece // the text part, cut at its links
	HTML bool    // there is an HTML part
}

// Piece is a piece of text or, where Link is set, a link.
type Piece struct {
	Text string
	Link string
}

var (
	mailboxPage = web.Define(Set, "mailbox", web.Desk,
		web.Sample("some", MailboxPage{Mails: []Letter{
			{File: "0000000001-invitation-x.eml", To: "lea.rossi@alder.example", Subject: "Your account at Northline Supply", At: web.SampleTime},
		}}),
		web.Sample("empty", MailboxPage{}))
	messagePage = web.Define(Set, "message", web.Desk,
		web.Sample("both parts", MessagePage{
			Letter: Letter{File: "0000000001-invitation-x.eml", To: "lea.rossi@alder.example", Subject: "Your account at Northline Supply", At: web.SampleTime},
			From:   "help@northline.example", Text: pieces("Hello Lea Rossi\n\nhttps://shop.localhost:8443/link/set-up/x\n"), HTML: true,
		}))
)

const listedMails = 100

func (s *Site) mailDir() string { return filepath.Join(s.Dir, MailDir) }

// names lists the files of the mailbox, newest first.
func (s *Site) names() ([]string, error) {
	entries, err := os.ReadDir(s.mailDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if mailName.MatchString(e.Name()) {
			names = append(names, e.Name())
		}
	}
	slices.Reverse(names)
	return names, err
}

// mailName is what mails are called. Nothing else of the directory, and nothing outside of it, can be asked for.
var mailName = regexp.MustCompile(`^[0-9]{4,20}-[A-Za-z0-9-]{1,120}\.eml$`)

func (s *Site) mailbox(w http.ResponseWriter, r *http.Request) error {
	names, err := s.names()
	if err != nil {
		return err
	}
	page := MailboxPage{View: web.View{Nav: s.nav("mailbox"), Refresh: 5, Events: "/events"}, More: len(names) > listedMails}
	for _, name := range names[:min(len(names), listedMails)] {
		m, err := s.open(name)
		if err != nil {
			return err
		}
		page.Mails = append(page.Mails, m.Letter)
	}
	return mailboxPage.Show(w, r, page)
}

// mailEvents tells the list when a mail has come.
func (s *Site) mailEvents(w http.ResponseWriter, r *http.Request) error {
	newest := func() string {
		if names, err := s.names(); err == nil && len(names) > 0 {
			return names[0]
		}
		return ""
	}
	last := newest()
	return stream(w, r, func() time.Duration { return time.Second }, func() bool {
		now := newest()
		changed := now != last
		last = now
		return changed
	})
}

func (s *Site) message(w http.ResponseWriter, r *http.Request) error {
	m, err := s.open(r.PathValue("name"))
	if err != nil {
		return err
	}
	m.View = web.View{Nav: s.nav("mailbox"), Back: "/"}
	h := w.Header()
	h.Set("Content-Security-Policy", h.Get("Content-Security-Policy")+"; frame-src 'self'")
	return messagePage.Show(w, r, m.MessagePage)
}

// messageHTML is the HTML part, for the frame of the message's page.
func (s *Site) messageHTML(w http.ResponseWriter, r *http.Request) error {
	m, err := s.open(r.PathValue("name"))
	if err != nil {
		return err
	}
	if m.html == nil {
		return fault.New(fault.NotFound, "no-page")
	}
	h := w.Header()
	h.Set("Content-Security-Policy", "sandbox allow-top-navigation-by-user-activation; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "+
		"form-action 'none'; base-uri 'none'; frame-ancestors 'self'")
	h.Del("Cross-Origin-Opener-Policy") // browsers refuse to show a page with one in a sandbox
	h.Set("Content-Type", "text/html; charset=utf-8")
	// Links leave the frame: the page they lead to would refuse to be shown in it.
	_, err = w.Write(bytes.Replace(m.html, []byte("<head>"), []byte(`<head><base target="_top">`), 1))
	if err != nil {
		return nil // the visitor has gone away
	}
	return nil
}

// opened is a mail that was read.
type opened struct {
	MessagePage
	html []byte
}

const mailLimit = 1 << 20

// open reads a mail. A name that is none, or of no mail, is fault.NotFound.
func (s *Site) open(name string) (opened, error) {
	missing := fault.New(fault.NotFound, "no-page")
	if !mailName.MatchString(name) {
		return opened{}, missing
	}
	f, err := os.Open(filepath.Join(s.mailDir(), name))
	if errors.Is(err, fs.ErrNotExist) {
		return opened{}, missing
	}
	if err != nil {
		return opened{}, err
	}
	defer f.Close()
	return read(name, io.LimitReader(f, mailLimit))
}

// read takes a mail apart: its headers, its text part and its HTML part.
func read(name string, in io.Reader) (o opened, err error) {
	m, err := mail.ReadMessage(in)
	if err != nil {
		return o, err
	}
	var words mime.WordDecoder
	decoded := func(header string) string {
		value, err := words.DecodeHeader(m.Header.Get(header))
		if err != nil {
			return m.Header.Get(header)
		}
		return value
	}
	o.File, o.Subject, o.From, o.To = name, decoded("Subject"), decoded("From"), decoded("To")
	if to, err := mail.ParseAddress(m.Header.Get("To")); err == nil {
		o.To = to.Address
	}
	if from, err := mail.ParseAddress(m.Header.Get("From")); err == nil {
		o.From = strings.TrimSpace(from.Name + " <" + from.Address + ">")
	}
	if o.At, err = m.Header.Date(); err != nil {
		return o, err
	}
	return o, o.part(m.Header.Get("Content-Type"), m.Header.Get("Content-Transfer-Encoding"), m.Body, 0)
}

// part reads a part and what is inside it, three levels deep at most.
func (o *opened) part(kind, encoding string, body io.Reader, depth int) error {
	media, params, err := mime.ParseMediaType(kind)
	if err != nil || depth > 3 {
		return err
	}
	if strings.HasPrefix(media, "multipart/") {
		parts := multipart.NewReader(body, params["boundary"])
		for {
			p, err := parts.NextRawPart()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if err := o.part(p.Header.Get("Content-Type"), p.Header.Get("Content-Transfer-Encoding"), p, depth+1); err != nil {
				return err
			}
		}
	}
	if strings.EqualFold(encoding, "quoted-printable") {
		body = quotedprintable.NewReader(body)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	switch media {
	case "text/plain":
		o.Text = pieces(strings.ReplaceAll(string(text), "\r\n", "\n"))
	case "text/html":
		o.html, o.HTML = text, true
	}
	return nil
}

var https = regexp.MustCompile(`https://[^\s<>"]+[^\s<>".,;:!?)]`)

// pieces cuts a text at its links.
func pieces(text string) []Piece {
	var out []Piece
	at := 0
	for _, m := range https.FindAllStringIndex(text, -1) {
		out = append(out, Piece{Text: text[at:m[0]]}, Piece{Text: text[m[0]:m[1]], Link: text[m[0]:m[1]]})
		at = m[1]
	}
	return append(out, Piece{Text: text[at:]})
}
