package password

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/trustelem/zxcvbn"
	"github.com/trustelem/zxcvbn/match"
	"golang.org/x/text/unicode/norm"

	"doorward/internal/authn"
	"doorward/internal/authn/password/dictionary"
)

// Hints of Strength: what makes a password easier to guess than it looks. They are message keys.
const (
	HintLonger   = "hint-longer"    // add a word or two
	HintOwn      = "hint-own-words" // the person's own words
	HintCommon   = "hint-common"    // a common password
	HintName     = "hint-name"      // a first or family name
	HintWord     = "hint-word"      // a single word of the dictionary
	HintReplaced = "hint-replaced"  // figures in place of letters
	HintReversed = "hint-reversed"  // a word backwards
	HintKeyboard = "hint-keyboard"  // keys beside each other
	HintRepeat   = "hint-repeat"    // the same again
	HintSequence = "hint-sequence"  // abcd, 2345
	HintDate     = "hint-date"      // a date or a year
)

const (
	estimated   = 100 // letters looked at; what follows can only make a password stronger
	simpleRunes = 24
)

// fewerSigns takes away the choices between signs that stand for one letter. zxcvbn tries every combination of them:
// a hundred well-chosen signs took it half a second, which is an attack (SEC T-DOS).
var fewerSigns = strings.NewReplacer("@", "4", "{", "(", "[", "(", "<", "(", "!", "1", "|", "1", "$", "5", "+", "7", "9", "6")

// Strength estimates how many guesses a password withstands (zxcvbn): 0 and 1 are hopeless, 2 is weak, 3 and 4 are good.
// Hints say why it is not stronger, most important first, as message codes; there is at least one below 4. It costs up
// to 30 ms for the longest texts, so a door that offers it limits how often.
func Strength(s authn.Subject, text string) (score int, hints []string) {
	if !utf8.ValidString(text) || text == "" {
		return 0, []string{HintLonger}
	}
	known := []string{ascii(s.Address)}
	for _, w := range words(s) {
		lower := strings.ToLower(w)
		known = append(known, ascii(lower), ascii(umlauts.Replace(lower)))
	}
	if text = ascii(text); len(text) > simpleRunes {
		text = fewerSigns.Replace(text)
	}
	dictionary.Load()
	result := zxcvbn.PasswordStrength(text, known)
	score = min(max(result.Score, 0), 4)
	if score == 4 {
		return score, nil
	}
	for _, m := range result.Sequence {
		for _, h := range hintsOf(m) {
			if !slices.Contains(hints, h) {
				hints = append(hints, h)
			}
		}
	}
	if len(hints) > 3 {
		hints = hints[:3]
	}
	return score, append(hints, HintLonger)
}

// ascii writes the first letters of a text for the estimate, which counts bytes and would take "üüüüüüüüüüüü" for chance:
// accents fall, and other letters and signs become a to z in the order of Unicode, so that repeats and sequences of any
// script stay what they are.
func ascii(text string) string {
	var b strings.Builder
	for _, r := range norm.NFD.String(text) {
		switch {
		case b.Len() >= estimated:
			return b.String()[:estimated]
		case r < utf8.RuneSelf:
			b.WriteRune(r)
		case r == 'ß':
			b.WriteString("ss")
		case unicode.Is(unicode.Mn, r):
		default:
			b.WriteByte('a' + byte(r%26))
		}
	}
	return b.String()
}

func hintsOf(m *match.Match) []string {
	switch m.Pattern {
	case "spatial":
		return []string{HintKeyboard}
	case "repeat":
		hints := []string{HintRepeat}
		for _, base := range m.BaseMatches {
			hints = append(hints, hintsOf(base)...)
		}
		return hints
	case "sequence":
		return []string{HintSequence}
	case "regex", "date":
		return []string{HintDate}
	case "dictionary":
	default:
		return nil
	}
	var hints []string
	switch m.DictionaryName {
	case "user_inputs":
		hints = append(hints, HintOwn)
	case "passwords":
		hints = append(hints, HintCommon)
	case "surnames", "male_names", "female_names":
		hints = append(hints, HintName)
	default:
		hints = append(hints, HintWord)
	}
	if m.L33t {
		hints = append(hints, HintReplaced)
	}
	if m.Reversed {
		hints = append(hints, HintReversed)
	}
	return hints
}
