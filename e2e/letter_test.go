package e2e

import (
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"strings"
	"testing"
)

// header decodes an RFC 2047 header.
func header(s string) string {
	if d, err := new(mime.WordDecoder).DecodeHeader(s); err == nil {
		return d
	}
	return s
}

// plainText finds the first text/plain part of a body, empty when there is none.
func plainText(contentType, encoding string, body io.Reader) (string, error) {
	if contentType == "" {
		contentType = "text/plain"
	}
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return "", err
	}
	switch {
	case kind == "text/plain":
		switch strings.ToLower(encoding) {
		case "quoted-printable":
			body = quotedprintable.NewReader(body)
		case "base64":
			body = base64.NewDecoder(base64.StdEncoding, body)
		}
		b, err := io.ReadAll(body)
		return string(b), err
	case strings.HasPrefix(kind, "multipart/"):
		for r := multipart.NewReader(body, params["boundary"]); ; {
			p, err := r.NextRawPart()
			if err == io.EOF {
				return "", nil
			}
			if err != nil {
				return "", err
			}
			if s, err := plainText(p.Header.Get("Content-Type"), p.Header.Get("Content-Transfer-Encoding"), p); err != nil || s != "" {
				return s, err
			}
		}
	}
	return "", nil
}

func TestLettersAreRead(t *testing.T) {
	const mail = "From: Shop <shop@example.com>\r\nTo: =?utf-8?q?J=C3=BCrg?= <j@example.com>\r\nSubject: =?utf-8?q?Gr=C3=BCezi?=\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" +
		"Follow https://shop.localhost:8443/i/abc=3Dx.\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>https://other.example/</p>\r\n--b--\r\n"
	l, err := readLetter([]byte(mail))
	if err != nil {
		t.Fatal(err)
	}
	if l.To != "j@example.com" || l.Subject != "Grüezi" || l.link(t) != "https://shop.localhost:8443/i/abc=x" {
		t.Errorf("read %+v", l)
	}
	if _, err := readLetter([]byte("From: a@example.com\r\nTo: b@example.com\r\nContent-Type: text/html\r\n\r\n<p>x</p>")); err == nil {
		t.Error("a mail without a text part passes")
	}
}
