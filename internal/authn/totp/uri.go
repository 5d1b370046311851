package totp

import (
	"encoding/base32"
	"net/url"
	"strconv"
	"strings"

	"doorward/internal/authn"
	"doorward/internal/fault"
	"doorward/internal/secret"
)

// The otpauth address is read by many apps and specified by none; Google's key URI format is what all follow. What makes
// it readable everywhere, tried with Microsoft Authenticator, Google Authenticator and the extension of authenticator.cc:
//
//   - the label is ISSUER:ACCOUNT with one plain colon; a further colon in either makes the extension cut the name;
//   - a blank is %20: some apps show the "+" of form encoding as it is;
//   - the issuer stands in the label and as a parameter, the same text;
//   - the secret has no padding;
//   - all parameters are written, also the usual ones.

var base32Text = base32.StdEncoding.WithPadding(base32.NoPadding)

// labelMax is the longest issuer or account: more makes the QR code hard to scan and is cut by the apps.
const labelMax = 64

// KeyText is the open seed for whoever types it: base32 in groups of four (REQ B34).
func KeyText(q authn.Question) (secret.Text, error) {
	k, err := readOffer(q)
	if err != nil {
		return "", err
	}
	text := base32Text.EncodeToString(k.Seed)
	var b strings.Builder
	for len(text) > 4 {
		b.WriteString(text[:4] + " ")
		text = text[4:]
	}
	return secret.Text(b.String() + text), nil
}

// URI is the open seed as an otpauth address, for the QR code and for "open on this phone". The app shows s.Issuer (the
// realm's id where it is empty) and s.Address.
func URI(q authn.Question, s authn.Subject) (secret.Text, error) {
	k, err := readOffer(q)
	if err != nil {
		return "", err
	}
	issuer := label(s.Issuer)
	if issuer == "" {
		issuer = label(s.Realm)
	}
	return k.uri(issuer, label(s.Address)), nil
}

func (k Key) uri(issuer, account string) secret.Text {
	algorithm := k.Algorithm
	if algorithm == "" {
		algorithm = "SHA1"
	}
	return secret.Text("otpauth://totp/" + escape(issuer) + ":" + escape(account) +
		"?secret=" + base32Text.EncodeToString(k.Seed) + "&issuer=" + escape(issuer) + "&algorithm=" + algorithm +
		"&digits=" + strconv.Itoa(k.digits()) + "&period=" + strconv.FormatInt(k.period(), 10))
}

// escape is form encoding with %20 for a blank. It also hides "/", "?", "#", "&" and "=", so a name cannot add parameters.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// label makes a name fit for the address: one line, no colon.
func label(s string) string {
	s = cleanName(strings.ReplaceAll(s, ":", " "))
	if r := []rune(s); len(r) > labelMax {
		s = strings.TrimSpace(string(r[:labelMax]))
	}
	return s
}

// ParseURI reads an otpauth address of another system, for imports. It fails with fault.Invalid "totp-uri-invalid"
// (Args part: "scheme", "type", "secret", "algorithm", "digits" or "period"): also for hotp, whose counter would be
// wanted. The error never quotes the address.
func ParseURI(uri secret.Text) (k Key, issuer, account string, err error) {
	bad := func(part string) (Key, string, string, error) {
		return Key{}, "", "", fault.New(fault.Invalid, "totp-uri-invalid", "part", part)
	}
	if len(uri) > 4096 {
		return bad("scheme")
	}
	u, err := url.Parse(uri.Reveal())
	if err != nil || !strings.EqualFold(u.Scheme, "otpauth") {
		return bad("scheme")
	}
	if !strings.EqualFold(u.Host, "totp") {
		return bad("type")
	}
	v, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return bad("secret")
	}
	seed := strings.ToUpper(strings.TrimRight(strings.NewReplacer(" ", "", "-", "").Replace(v.Get("secret")), "="))
	if k.Seed, err = base32Text.DecodeString(seed); err != nil || len(k.Seed) < seedMin || len(k.Seed) > seedMax {
		return bad("secret")
	}
	if k.Algorithm = strings.ToUpper(v.Get("algorithm")); algorithms[k.Algorithm] == nil {
		return bad("algorithm")
	}
	number := func(name string) (n int, ok bool) {
		text := v.Get(name)
		if text == "" {
			return 0, true
		}
		n, err := strconv.Atoi(text)
		return n, err == nil && n > 0
	}
	var ok bool
	if k.Digits, ok = number("digits"); !ok || k.digits() != 6 && k.digits() != 8 {
		return bad("digits")
	}
	period, ok := number("period")
	if k.Period = int64(period); !ok || k.check() != nil {
		return bad("period")
	}
	issuer, account, found := strings.Cut(strings.TrimPrefix(u.Path, "/"), ":")
	if !found {
		issuer, account = "", issuer
	}
	if named := v.Get("issuer"); named != "" {
		issuer = named
	}
	return k, label(issuer), label(account), nil
}
