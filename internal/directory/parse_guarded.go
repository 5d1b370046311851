package directory

import (
	"slices"
	"strconv"
	"strings"
)

// guarded checks the hosts of forward-auth: one application answers for each name, whatever the port, since cookies do not
// tell ports apart.
func (c *check) guarded(at string, rp *RelyingParty, seen map[string]string) {
	c.each(at+".hosts", rp.Hosts, func(path, s string) {
		name := GuardedName(s)
		switch other, taken := seen[name]; {
		case name == "":
			c.Bad(path, "a host name in lower case, with :PORT only where it is not 443")
		case name == c.r.Host || name == MTLSPrefix+c.r.Host || slices.Contains(c.r.CertHosts(), name):
			c.Bad(path, "is the host of the realm itself")
		case taken && other != rp.ID:
			c.Bad(path, "%q is guarded for %q already", name, other)
		case slices.ContainsFunc(rp.Hosts[:slices.Index(rp.Hosts, s)], func(e string) bool { return GuardedName(e) == name }):
			c.Bad(path, "%q stands with another port already: cookies do not tell ports apart", name)
		}
		seen[name] = rp.ID
	})
	if len(rp.ForwardHeaders) > 0 && len(rp.Hosts) == 0 {
		c.Bad(at+".forward_headers", "hosts is missing: nothing is guarded")
	}
	c.each(at+".forward_headers", rp.ForwardHeaders, func(path, s string) {
		c.oneOf(path, s, ForwardEmail, ForwardName, ForwardOrganization, ForwardGroups)
	})
}

// GuardedName is the host name of an entry of hosts, without its port; empty when the entry is not written as it must be.
func GuardedName(entry string) string {
	name, port, has := strings.Cut(entry, ":")
	if n, err := strconv.ParseUint(port, 10, 16); has && (err != nil || n == 0 || n == 443 || strconv.FormatUint(n, 10) != port) {
		return ""
	}
	if host, err := CanonicalHost(name); err != nil || host != name {
		return ""
	}
	return name
}
