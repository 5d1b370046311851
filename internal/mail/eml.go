package mail

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"slices"
	"strings"
	"time"
)

// Composed is a mail ready to go.
type Composed struct {
	ID       string // of the message; also its Message-ID, so that a repeated delivery is seen as one
	Host     string // of the realm
	From     string
	FromName string
	To       string // empty: a decoy, which is not sent
	Subject  string
	Text     string
	HTML     string
	Language string
	Template string
	Date     time.Time
	File     *Attachment // nil for none
}

// Attachment is a file that goes with a mail.
type Attachment struct {
	Name  string // ASCII, nothing to be quoted
	Type  string
	Bytes []byte
}

// Header is one header field, encoded, not folded.
type Header struct{ Name, Value string }

// Headers are the mail's header fields in their order (RFC 5322, RFC 3834 for Auto-Submitted). There is no List-* field:
// these are no mailings, and nobody may unsubscribe from the safety of their account.
func (c Composed) Headers() []Header {
	return []Header{
		{"Date", c.Date.Format("Mon, 02 Jan 2006 15:04:05 -0700")},
		{"From", (&mail.Address{Name: c.FromName, Address: c.From}).String()},
		{"To", (&mail.Address{Address: c.To}).String()},
		{"Message-ID", "<" + c.ID + "@" + c.Host + ">"},
		{"Subject", encoded(plain(c.Subject))},
		{"Content-Language", c.Language},
		{"Auto-Submitted", "auto-generated"},
		{"X-Auto-Response-Suppress", "All"},
		{"MIME-Version", "1.0"},
		{"Content-Type", c.kind()},
	}
}

// kind is what the mail's body is: two texts that say the same, or those and a file.
func (c Composed) kind() string {
	if c.File != nil {
		return `multipart/mixed; boundary="` + c.boundary("mixed") + `"`
	}
	return c.texts()
}

func (c Composed) texts() string { return `multipart/alternative; boundary="` + c.boundary("") + `"` }

// boundary follows from the id, so that the same message gives the same bytes. quoted-printable never holds "=_".
func (c Composed) boundary(of string) string {
	h := sha256.Sum256([]byte(c.ID + of))
	return "=_" + hex.EncodeToString(h[:12])
}

// Bytes writes the mail with CRLF line ends, ASCII only, no line longer than 78 characters where words allow it.
func (c Composed) Bytes() ([]byte, error) {
	var b bytes.Buffer
	for _, h := range c.Headers() {
		b.WriteString(fold(h) + "\r\n")
	}
	b.WriteString("\r\n")
	if c.File == nil {
		if err := c.write(&b); err != nil {
			return nil, fmt.Errorf("mail %s: %w", c.ID, err)
		}
		return b.Bytes(), nil
	}
	whole := multipart.NewWriter(&b)
	err := whole.SetBoundary(c.boundary("mixed"))
	if err == nil {
		var w io.Writer
		if w, err = whole.CreatePart(textproto.MIMEHeader{"Content-Type": {c.texts()}}); err == nil {
			err = c.write(w)
		}
	}
	if err == nil {
		err = c.attach(whole)
	}
	if err == nil {
		err = whole.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("mail %s: %w", c.ID, err)
	}
	return b.Bytes(), nil
}

// attach writes the file in base64, in lines of 76 letters.
func (c Composed) attach(parts *multipart.Writer) error {
	w, err := parts.CreatePart(textproto.MIMEHeader{
		"Content-Type": {c.File.Type + `; name="` + c.File.Name + `"`}, "Content-Transfer-Encoding": {"base64"},
		"Content-Disposition": {`attachment; filename="` + c.File.Name + `"`},
	})
	if err != nil {
		return err
	}
	text := base64.StdEncoding.EncodeToString(c.File.Bytes)
	for line := range slices.Chunk([]byte(text), 76) {
		if _, err := w.Write(append(slices.Clone(line), "\r\n"...)); err != nil {
			return err
		}
	}
	return nil
}

// write writes the two texts.
func (c Composed) write(to io.Writer) error {
	parts := multipart.NewWriter(to)
	if err := parts.SetBoundary(c.boundary("")); err != nil {
		return err
	}
	for _, p := range [][2]string{{"text/plain", c.Text}, {"text/html", c.HTML}} {
		w, err := parts.CreatePart(textproto.MIMEHeader{
			"Content-Type": {p[0] + "; charset=utf-8"}, "Content-Transfer-Encoding": {"quoted-printable"},
		})
		if err != nil {
			return err
		}
		q := quotedprintable.NewWriter(w)
		if _, err := q.Write([]byte(p[1])); err != nil {
			return err
		}
		if err := q.Close(); err != nil {
			return err
		}
	}
	return parts.Close()
}

// fold breaks a field at spaces (RFC 5322, 2.2.3). A value with a line break in it could begin another field; here every
// break is one of ours, followed by a space.
func fold(h Header) string {
	line := h.Name + ":"
	var out strings.Builder
	for _, word := range strings.Fields(strings.ReplaceAll(h.Value, "\x00", "")) {
		if len(line)+1+len(word) > 76 && line != h.Name+":" {
			out.WriteString(line + "\r\n")
			line = ""
		}
		line += " " + word
	}
	out.WriteString(line)
	return out.String()
}

const wordMax = 64 // of an encoded word, so that the first one fits beside the field's name

// encoded writes a text in encoded words (RFC 2047) where it is not plain ASCII, or where a name in it looks like one
// and would be decoded into something else.
func encoded(s string) string {
	if ascii(s) && !strings.Contains(s, "=?") {
		return s
	}
	var words []string
	chunk := ""
	word := func(s string) string {
		w := mime.QEncoding.Encode("utf-8", s+"é") // what is ASCII alone would stay as it is
		return strings.Replace(w, "=C3=A9?=", "?=", 1)
	}
	for _, c := range s {
		if chunk != "" && len(word(chunk+string(c))) > wordMax {
			words, chunk = append(words, word(chunk)), ""
		}
		chunk += string(c)
	}
	return strings.Join(append(words, word(chunk)), " ")
}
