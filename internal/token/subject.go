package token

import (
	"encoding/base64"
	"net/url"
	"strconv"

	"doorward/internal/directory"
	"doorward/internal/secret"
)

// Subject is the sub by which a client knows a person. It never changes and is never given to somebody else: the
// person's id, or for a pairwise client a keyed hash of realm, sector and person (OpenID Connect Core 8.1). Clients of
// one sector see the same sub; across sectors nobody without the key ring can tell that two are one person.
func Subject(ring *secret.Ring, realm string, rp directory.RelyingParty, person string) string {
	if !rp.Pairwise {
		return person
	}
	sector := Sector(rp)
	text := ""
	for _, part := range []string{realm, sector, person} {
		text += strconv.Itoa(len(part)) + ":" + part
	}
	return base64.RawURLEncoding.EncodeToString(ring.Hash("pairwise-subject", text))
}

// Sector is what a pairwise client shares with others: its sector identifier, else the one host of its redirect
// addresses. Where those have several hosts it stands alone, under its own id.
func Sector(rp directory.RelyingParty) string {
	if rp.SectorIdentifier != "" {
		return rp.SectorIdentifier
	}
	host := ""
	for _, r := range rp.RedirectURIs {
		u, err := url.Parse(r)
		if err != nil || u.Hostname() == "" || host != "" && host != u.Hostname() {
			return "client:" + rp.ID // no host name has a colon
		}
		host = u.Hostname()
	}
	if host == "" || host == "127.0.0.1" || host == "::1" {
		return "client:" + rp.ID // every native client shares the loopback address
	}
	return host
}
