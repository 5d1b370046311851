package recoverymatrix

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"doorward/internal/authn"
)

var update = flag.Bool("update", false, "write docs/recovery-matrix.md anew")

const matrixFile = "../../../docs/recovery-matrix.md"

var audience = map[string]string{
	"member": "a member", "admin": "an administrator beside another", "only": "the only administrator", "agent": "an agent", "owner": "an owner",
	"max": "a member", "bea": "an administrator",
}

// matrix is the page about who comes back by what, written from the tables that the tests walk.
func matrix() string {
	var b strings.Builder
	b.WriteString("# The recovery matrix\n\nWritten by the tests of `internal/rig/recoverymatrix` (`go test ./internal/rig/recoverymatrix -run Matrix -update`). How help works is in [requests.md](requests.md).\n\n")
	b.WriteString("## What brings somebody back\n\nEach row is walked on the pages of the shop, the one example realm, until the person stands in their account again. The ways back at the wealth portal begin with a certificate: [requests.md](requests.md#the-call), [certificates.md](certificates.md). Whoever helps never sees anything that signs in.\n\n")
	b.WriteString("| Who | Lost | What it takes |\n|---|---|---|\n")
	for _, l := range losses {
		way := l.way
		if l.missing != "" {
			way = "no way yet: " + l.missing
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", audience[l.who], lostWords(l.lost), way)
	}
	b.WriteString("\n## What brings nobody in\n\nEach of these is tried on every route, in every order up to a depth, against a member, an administrator and an agent. Before the cooling-off is over none of them has a\nsession or has bound anything, and whatever happened to the account was mailed to its owner and stands in the trail.\n\n")
	b.WriteString("| Whoever has | which is |\n|---|---|\n")
	for _, a := range attackers {
		fmt.Fprintf(&b, "| %s | %s |\n", a.name, a.words())
	}
	b.WriteString("\nWhere members show a certificate first (`cert + password + totp`), the same is tried by these against a member:\n\n| Whoever has | which is |\n|---|---|\n")
	for _, a := range holders {
		fmt.Fprintf(&b, "| %s | %s |\n", a.name, a.words())
	}
	b.WriteString("\nAt the wealth portal as it is shipped, with its call (`realms/wealth.toml`), the same is tried by these against a member:\n\n| Whoever has | which is |\n|---|---|\n")
	for _, a := range clients {
		fmt.Fprintf(&b, "| %s | %s |\n", a.name, a.words())
	}
	b.WriteString("\nBehind the cooling-off two fooled people and the mailbox bring somebody of the staff back who lost everything, and so whoever has that mailbox: the notices\nwith their links that stop it, and the day in between, stand against that. For customers the policy asks for a spoken code as well.\n")
	return b.String()
}

func lostWords(lost []authn.Kind) string {
	switch {
	case slices.Contains(lost, authn.Mail):
		return "everything, and the mailbox"
	case len(lost) > 1:
		return "everything"
	case lost[0] == authn.Password:
		return "the password"
	}
	return "the authenticator"
}

// words says what an attacker has.
func (a attack) words() string {
	var has []string
	for _, one := range []struct {
		yes  bool
		what string
	}{
		{a.mailbox, "every mail to the person, and clicks what is in it"}, {a.password, "the password"}, {a.totp, "the authenticator"},
		{a.laptop, "a browser that the person signed in with"},
		{a.codes, "the sheet of recovery codes"}, {a.cert, "the device with its certificate"},
	} {
		if one.yes {
			has = append(has, one.what)
		}
	}
	switch {
	case slices.Contains(a.desk, "puppet"):
		has = append(has, "an administrator's own console, and that of a second administrator whom they invited and are")
	case len(a.desk) == 2:
		has = append(has, "a call that two people at the desk believe, on the number on file")
	case len(a.desk) == 1 && a.desk[0] == "first":
		has = append(has, "one person at the desk who does as asked")
	case len(a.desk) == 1:
		has = append(has, "an administrator's own console")
	}
	return strings.Join(has, "; ")
}

func TestTheMatrixIsAsTheTestsHaveIt(t *testing.T) {
	if *update {
		if err := os.WriteFile(matrixFile, []byte(matrix()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(matrixFile)
	if err != nil || string(got) != matrix() {
		t.Errorf("docs/recovery-matrix.md is not what the tables say (%v); look at it, then run with -update", err)
	}
}
