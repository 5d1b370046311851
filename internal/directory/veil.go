package directory

import "strings"

// What whoever takes a call must not be able to read out (SEC H-6): an impostor who asks "which address do you have for
// me?" is to be asked back, not answered. The help desk sees what a caller could be asked for once it has begun to check
// the caller of a request, and not before. Administrators know their own people, and an auditor takes no calls.

// Veils reports whether actor sees whom behind a veil until a check has begun. Who was never let in has nothing to take
// over yet: what helps them is an invitation, and its address has to be read.
func Veils(actor, whom Person) bool {
	switch actor.Role {
	case Agent, Supervisor, Owner:
		return actor.ID != whom.ID && whom.EverActive()
	}
	return false
}

// hidden stands for what is left out, whatever its length.
const hidden = "•••"

// Veiled is the person without what a caller could be asked for: the first letters of the address are left, to tell
// people apart, and the last two digits of the number on file.
func (p Person) Veiled() Person {
	p.Address, p.Phone = VeiledAddress(p.Address), VeiledPhone(p.Phone)
	return p
}

// VeiledAddress leaves the first letter of the name and of the domain: "a•••@s•••".
func VeiledAddress(address string) string {
	local, domain, ok := strings.Cut(address, "@")
	if !ok {
		return hidden
	}
	return first(local) + hidden + "@" + first(domain) + hidden
}

func first(s string) string {
	for _, r := range s {
		return string(r)
	}
	return ""
}

// VeiledPhone leaves the last two digits, and nothing of a number so short that two would tell.
func VeiledPhone(phone string) string {
	switch {
	case phone == "":
		return ""
	case len(phone) < 7:
		return hidden
	}
	return hidden + " " + phone[len(phone)-2:]
}
