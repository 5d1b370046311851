package audit

import (
	"slices"
	"strings"
)

// Type is one kind of event. Security events are shown to the person in their own history even when nothing changed,
// and are what an operator's alarm looks at.
type Type struct {
	Name     string
	Security bool
}

// Types are all event types that the product emits, sorted by name; a test holds them against the source. The sentence of each stands in the catalogues under
// "event." + Name.
var Types = []Type{
	{"activation.asked", false},
	{"activation.checked", true},
	{"activation.confirmed", true},
	{"activation.ended", true},
	{"activation.locked", true},
	{"activation.matched", true},
	{"activation.mismatched", true},
	{"activation.opened", true},
	{"activation.rejected", true},
	{"activation.seconded", true},
	{"authority.added", true},
	{"authority.asked", true},
	{"authority.responder", false},
	{"authority.revoked", true},
	{"authority.rotated", true},
	{"certificate.enrolled", true},
	{"certificate.fetched", true},
	{"certificate.issued", true},
	{"certificate.password-said", true},
	{"certificate.password-shown", true},
	{"certificate.password-wrong", true},
	{"certificate.renewed", true},
	{"certificate.replaced", true},
	{"certificate.resumed", true},
	{"certificate.revoked", true},
	{"certificate.sent", true},
	{"certificate.suspended", true},
	{"certificate.twice", true},
	{"client.allowed", true},
	{"client.authorized", false},
	{"client.device-allowed", true},
	{"client.device-asked", false},
	{"client.device-denied", true},
	{"client.ended", true},
	{"client.removed", true},
	{"client.token", false},
	{"credential.ended", true},
	{"credential.enrolled", true},
	{"credential.renamed", false},
	{"credential.resumed", true},
	{"credential.suspended", true},
	{"device.added", true},
	{"enrol.failed", true},
	{"enrolment.offered", true},
	{"enrolment.refused", true},
	{"enrolment.withdrawn", true},
	{"evidence.shown", false},
	{"exemption.ended", true},
	{"exemption.proposed", true},
	{"exemption.started", true},
	{"exemption.used", true},
	{"flow.resumed", false},
	{"flow.started", false},
	{"flow.voided", false},
	{"invitation.refused", true},
	{"invitation.resent", true},
	{"invitation.revoked", true},
	{"invitation.sent", true},
	{"key.rotated", true},
	{"limiter.tripped", true},
	{"mail.bounced", false},
	{"mail.failed", false},
	{"organization.added", true},
	{"organization.changed", true},
	{"organization.disabled", true},
	{"organization.enabled", true},
	{"password.rehashed", false},
	{"password.reset-asked", true},
	{"person.added", true},
	{"person.changed", true},
	{"person.deleted", true},
	{"person.disabled", true},
	{"person.edited", true},
	{"person.enabled", true},
	{"person.frozen", true},
	{"person.mismatch", true},
	{"person.role", true},
	{"preferences.changed", false},
	{"realm.applied", true},
	{"recovery.used", true},
	{"request.alarm", true},
	{"request.answered", false},
	{"request.approved", true},
	{"request.asked", false},
	{"request.cancelled", true},
	{"request.check-begun", true},
	{"request.checked", true},
	{"request.confirmed", true},
	{"request.link-sent", true},
	{"request.opened", true},
	{"request.refused", true},
	{"request.seconded", true},
	{"request.used", true},
	{"rollout.put-off", false},
	{"session.ended", true},
	{"setup.completed", true},
	{"signin.failed", true},
	{"signin.refused", true},
	{"signin.succeeded", true},
	{"terms.accepted", true},
	{"terms.declined", true},
}

// TypeOf finds a type by its name; ok is false for one that is not listed.
func TypeOf(name string) (t Type, ok bool) {
	i, ok := slices.BinarySearchFunc(Types, name, func(t Type, name string) int { return strings.Compare(t.Name, name) })
	if !ok {
		return Type{}, false
	}
	return Types[i], true
}
