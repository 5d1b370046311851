package token

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Rules of parameters (RFC 6749 3.1 and 3.2).
//
//   - Each stands once. A request with a parameter twice is refused whole: two readers could take two different ones.
//     Only resource may repeat (RFC 8707 2).
//   - A parameter without value is as if it were not there.
//   - Bounded in size and number; UTF-8; no control letters but line breaks and tabs.

// Bounds of what is read.
const (
	MaxForm  = 32 << 10 // bytes of a query or a form
	maxParam = 64
	maxName  = 64
	maxValue = MaxSize
)

// Params are the parameters of a request. Several resources are joined by a blank, which no URI has.
type Params map[string]string

// ReadParams reads a query or a form body (application/x-www-form-urlencoded). The error is an *OAuthError
// "invalid_request" that is told to nobody's address: what stands twice may be the address.
func ReadParams(raw string) (Params, error) {
	if len(raw) > MaxForm {
		return nil, tell(CodeInvalidRequest, "the request is too large")
	}
	if strings.Count(raw, "&") >= maxParam {
		return nil, tell(CodeInvalidRequest, "too many parameters")
	}
	p, seen := Params{}, map[string]bool{}
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		k, v, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(k)
		if err != nil || name == "" || len(name) > maxName || !text(name) || strings.Contains(pair, ";") {
			return nil, tell(CodeInvalidRequest, "a parameter is malformed")
		}
		value, err := url.QueryUnescape(v)
		if err != nil || len(value) > maxValue || !text(value) {
			return nil, tell(CodeInvalidRequest, "a parameter is malformed or too long")
		}
		if err := p.add(name, value, seen); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// ParamsOf takes parameters that were read elsewhere, such as by net/http, under the same rules.
func ParamsOf(v url.Values) (Params, error) { return ReadParams(v.Encode()) }

func (p Params) add(name, value string, seen map[string]bool) error {
	if name == "resource" {
		if strings.ContainsFunc(value, unicode.IsSpace) {
			return tell(CodeInvalidTarget, "resource must be an absolute URI without fragment")
		}
		if p[name] != "" && value != "" {
			value = p[name] + " " + value
		}
	} else if seen[name] {
		return tell(CodeInvalidRequest, "a parameter stands twice")
	}
	seen[name] = true
	if value != "" {
		p[name] = value
	}
	return nil
}

// text reports whether s is UTF-8 without control letters other than tab and line breaks.
func text(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r' })
}

// Resources are the resource indicators.
func (p Params) Resources() []string { return strings.Fields(p["resource"]) }
