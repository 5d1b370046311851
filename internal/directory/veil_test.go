package directory_test

import (
	"strings"
	"testing"
	"time"

	"doorward/internal/directory"
	"doorward/internal/fault"
)

func TestSEC_H6_WhoSeesBehindTheVeil(t *testing.T) {
	active := directory.Person{ID: "1", Role: directory.Member, FirstActive: time.Unix(1, 0), Address: "anna@alder.example", Phone: "+41445550142"}
	never := directory.Person{ID: "2", Role: directory.Member}
	for role, want := range map[directory.Role]bool{
		directory.Agent: true, directory.Supervisor: true, directory.Owner: true, directory.Auditor: false, directory.Administrator: false, directory.Member: false,
	} {
		actor := directory.Person{ID: "9", Role: role}
		if directory.Veils(actor, active) != want || directory.Veils(actor, never) {
			t.Errorf("%s: %t %t", role, directory.Veils(actor, active), directory.Veils(actor, never))
		}
		self := active
		self.Role = role
		if directory.Veils(self, self) {
			t.Errorf("%s does not see themselves", role)
		}
	}
	v := active.Veiled()
	if v.Address != "a•••@a•••" || v.Phone != "••• 42" || v.ID != "1" {
		t.Errorf("%+v", v)
	}
	for _, p := range []directory.Person{{Address: "a@b.example", Phone: "+1234"}, {Address: "ö@ä.example"}, {}} {
		if v := p.Veiled(); strings.Contains(v.Address, "example") || strings.Contains(v.Phone, "34") || strings.ContainsRune(v.Address, '\uFFFD') {
			t.Errorf("%+v", v)
		}
	}
}

func TestSEC_H6_ANumberHasOneForm(t *testing.T) {
	for typed, want := range map[string]string{
		"": "", " ": "", "+41 44 555 01 42": "+41445550142", "0041 44 555 01 42": "+41445550142", "+41 (0)44 555-01.42": "+41445550142", "+1/212/555/0100": "+12125550100",
	} {
		if got, err := directory.CanonicalPhone(typed); err != nil || got != want {
			t.Errorf("%q: %q, %v", typed, got, err)
		}
	}
	for _, typed := range []string{"044 555 01 42", "+12", "+0445550142", "+4144555014212345", "call me", "+41 44 555 ext 5", "44+555", "٠٤٤٥٥٥"} {
		if got, err := directory.CanonicalPhone(typed); !fault.Of(err, fault.Invalid) {
			t.Errorf("%q: %q, %v", typed, got, err)
		}
	}
}
