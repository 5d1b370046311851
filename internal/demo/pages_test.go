package demo

import (
	"strings"
	"testing"

	"doorward/internal/web/webtest"
)

func TestREQ_B89_PagesInEveryLanguage(t *testing.T) { webtest.Pages(t, Set) }

// The product refuses a password that holds a word of its owner; the demo never makes one.
func TestPasswordsHoldNoWordOfTheirOwners(t *testing.T) {
	for range 20_000 {
		if p := strings.ReplaceAll(passwordFor("Eva Lang tom@nina.example"), "-", ""); len(p) != 36 || strings.Contains(p, "eva") || strings.Contains(p, "tom") || strings.Contains(p, "nina") {
			t.Fatal(p)
		}
	}
}
