package realms_test

import (
	"strings"
	"testing"

	"doorward/internal/directory"
	"doorward/realms"
)

func TestREQ_B8_ShippedRealmsAreWhole(t *testing.T) {
	for _, c := range []struct {
		id, name string
		text     []byte
	}{{"shop", "Northline Supply", realms.Shop}, {"wealth", "Meridian Portal", realms.Wealth}} {
		r, err := directory.ParseRealm(c.id+".toml", c.text)
		if err != nil {
			t.Fatal(err)
		}
		if r.ID != c.id || r.Name != c.name || len(r.Languages) != 4 || r.Origin != "https://"+c.id+".localhost" {
			t.Errorf("%s: %s, %s, %v, %s", c.id, r.ID, r.Name, r.Languages, r.Origin)
		}
		lines := strings.Split(string(c.text), "\n")
		if got := lines[r.PolicyLine-1]; got != "policy "+c.id {
			t.Errorf("%s: line %d is %q", c.id, r.PolicyLine, got)
		}
		if len(r.Apps) != 3 || r.Apps[0].ID != "microsoft" || r.Apps[1].ID != "google" || r.Apps[2].Kind != "extension" {
			t.Errorf("%s: the authenticators of the requirements are missing", c.id)
		}
		for _, lang := range r.Languages {
			if n := len(strings.Fields(r.Terms.Text[lang])); n < 300 || n > 800 {
				t.Errorf("%s: the terms in %s have %d words, not about a page", c.id, lang, n)
			}
			if strings.Count(r.Terms.Text[lang], "\n# ")+1 != 10 {
				t.Errorf("%s: the terms in %s do not have the sections of the others", c.id, lang)
			}
		}
	}
}

// The steps name the buttons people really see.
func TestREQ_B17_StepsNameTheRealButtons(t *testing.T) {
	r, err := directory.ParseRealm("shop.toml", realms.Shop)
	if err != nil {
		t.Fatal(err)
	}
	for i, words := range [][]string{{"“+”", "“Work or school account”"}, {"“Add a code”", "“Scan a QR code”"}, {"Authenticator icon", "scan symbol", "box around the whole QR code"}} {
		all := strings.Join(r.Apps[i].Steps["en"], " ")
		for _, w := range words {
			if !strings.Contains(all, w) {
				t.Errorf("%s: no step says %s", r.Apps[i].Name, w)
			}
		}
		for _, lang := range r.Languages {
			if len(r.Apps[i].Steps[lang]) != len(r.Apps[i].Steps["en"]) {
				t.Errorf("%s: other steps in %s", r.Apps[i].Name, lang)
			}
		}
	}
	if about := r.Apps[2].About["en"]; !strings.Contains(about, "none for Safari") {
		t.Errorf("B30: %q", about)
	}
}
