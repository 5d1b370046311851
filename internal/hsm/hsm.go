// Package hsm opens private keys that are in devices (PKCS #11). The libraries of such devices are C, so only a build with cgo
// and the tag pkcs11 can; every other says so.
//
// Rules: which library is loaded and which PIN opens it say the configuration and a file, never the database, because
// whoever could write there would run code here. The database names token and key alone (RFC 7512).
package hsm

import (
	"fmt"
	"net/url"
	"strings"
)

// parse reads pkcs11:token=…;object=… and refuses whatever else stands in it, such as the path of a library.
func parse(where string) (token, object string, err error) {
	rest, ok := strings.CutPrefix(where, "pkcs11:")
	for part := range strings.SplitSeq(rest, ";") {
		name, value, found := strings.Cut(part, "=")
		value, bad := url.PathUnescape(value)
		switch {
		case !found || bad != nil:
			ok = false
		case name == "token" && token == "":
			token = value
		case name == "object" && object == "":
			object = value
		default:
			ok = false
		}
	}
	if !ok || token == "" || object == "" {
		return "", "", fmt.Errorf("%q does not name a key: pkcs11:token=NAME;object=NAME", where)
	}
	return token, object, nil
}
