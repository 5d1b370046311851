package web

import (
	"fmt"
	"html/template"
	"net/url"
)

// Otpauth vouches for the address that opens an authenticator app on this phone (REQ B34), which html/template would
// refuse as an unknown scheme. It fails for anything else, so that no other scheme can come in this way.
func (v *View) Otpauth(address string) (template.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "otpauth" || u.Host != "totp" {
		return "", fmt.Errorf("web: not an otpauth address")
	}
	return template.URL(u.String()), nil //nolint:gosec // scheme and host checked above
}
