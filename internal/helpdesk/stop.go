package helpdesk

import (
	"encoding/base32"

	"doorward/internal/secret"
)

var stops = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// StopToken is the secret of the link that stops a request without a login. It is made of the key ring, so no dump holds
// it, and dies with the request: there is nothing to stop then.
func StopToken(ring *secret.Ring, r Request) string {
	return r.ID + "." + stops.EncodeToString(ring.Hash("request-stop", r.Realm+" "+r.ID)[:16])
}
