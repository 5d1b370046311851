package help

import (
	"strings"
	"testing"

	"doorward/internal/web/catalog"
)

// What an article tells people to press has to be what stands on the page, in every language; and whoever lost a phone reads
// of every way back.
func TestREQ_B88_HelpNamesWhatStandsOnThePages(t *testing.T) {
	for slug, keys := range map[string][]string{
		"code":           {"signin.password.other", "signin.recovery.use"},
		"lost-phone":     {"signin.password.other", "account.nav.security", "account.security.lost", "account.lost.renew", "signin.recovery.use"},
		"recovery-codes": {"account.nav.security", "signin.recovery.use"},
	} {
		for _, lang := range catalog.Languages {
			raw, err := contentFiles.ReadFile("content/" + lang + "/" + slug + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			for _, key := range keys {
				label, ok := catalog.Find(lang, key, 1)
				label = strings.ReplaceAll(label, "\u202f", " ") // the catalogue narrows the blanks of French
				if !ok || !strings.Contains(string(raw), "**"+label+"**") {
					t.Errorf("%s/%s does not name %s as it stands on the page: %q", lang, slug, key, label)
				}
			}
		}
	}
}
