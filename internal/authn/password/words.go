package password

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"doorward/internal/authn"
)

// Own words are what an acquaintance would try first: the person's name and address, their organization, the realm (SEC
// K-3, NIST SP 800-63B blocklists). A password that holds one is refused, whatever stands around it: the rule fits into
// one sentence, and the message names the word.
//
// Both sides are folded before they are compared: case, accents, figures in place of letters ("K3ller", "@nna"), and
// anything between the letters ("k-e-l-l-e-r"). German spells umlauts in two ways; both are tried.

// wordMin is the least length of a word: shorter ones are in every other password by chance.
const wordMin = 4

// ownWord finds the first own word that the password holds.
func ownWord(s authn.Subject, password string) (word string, ok bool) {
	haystacks := foldings(password)
	for _, w := range words(s) {
		for _, needle := range foldings(w) {
			if utf8.RuneCountInString(needle) < wordMin {
				continue
			}
			for _, h := range haystacks {
				if strings.Contains(h, needle) {
					return w, true
				}
			}
		}
	}
	return "", false
}

// words are the subject's own words, each of at least wordMin letters, without repetition.
func words(s authn.Subject) []string {
	local, domain, _ := strings.Cut(s.Address, "@")
	if i := strings.LastIndexByte(domain, '.'); i >= 0 {
		domain = domain[:i] // "com" and "info" belong to nobody
	}
	texts := append([]string{s.Name, local, domain, s.Organization, s.Realm, s.Issuer}, s.Words...)
	var found []string
	seen := map[string]bool{}
	for _, text := range texts {
		text = norm.NFC.String(text)
		for _, split := range []func(rune) bool{
			func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) },
			func(r rune) bool { return !unicode.IsLetter(r) }, // "anna1987" is also "anna"
		} {
			for _, w := range strings.FieldsFunc(text, split) {
				if lower := strings.ToLower(w); utf8.RuneCountInString(w) >= wordMin && !seen[lower] {
					seen[lower] = true
					found = append(found, w)
				}
			}
		}
	}
	return found
}

var umlauts = strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue")

// foldings are the folded spellings of a text: with umlauts as letters and as two letters.
func foldings(s string) []string {
	lower := strings.ToLower(norm.NFC.String(s))
	plain := fold(lower)
	if spelt := fold(umlauts.Replace(lower)); spelt != plain {
		return []string{plain, spelt}
	}
	return []string{plain}
}

// alike maps figures and signs to the letter they stand for. 1 is read as i and as l, so l becomes i as well.
var alike = map[rune]rune{
	'4': 'a', '@': 'a', '8': 'b', '(': 'c', '3': 'e', '€': 'e', '6': 'g', '9': 'g', '1': 'i', '!': 'i', '|': 'i', 'l': 'i',
	'0': 'o', '$': 's', '5': 's', '7': 't', '+': 't', '2': 'z',
}

func fold(lower string) string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(lower) {
		if to, ok := alike[r]; ok {
			r = to
		}
		switch {
		case r == 'ß':
			b.WriteString("ss")
		case unicode.IsLetter(r):
			b.WriteRune(r)
		}
	}
	return b.String()
}
