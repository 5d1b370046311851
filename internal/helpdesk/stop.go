package helpdesk

import "doorward/internal/secret"

// StopToken is the secret of the link that stops a request without a login. It is made of the key ring, so no dump holds
// it, and dies with the request: there is nothing to stop then.
func StopToken(ring *secret.Ring, r Request) string {
	return r.ID + "." + ring.Mark("request-stop", r.Realm, r.ID)
}
