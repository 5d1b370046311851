package password

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/trustelem/zxcvbn"
	"github.com/trustelem/zxcvbn/match"

	"doorward/internal/authn"
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

// What is estimated of a long password. What follows can only make it stronger.
const (
	estimatedRunes = 100
	estimatedBytes = 128
	simpleRunes    = 24
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
	known := []string{s.Address}
	for _, w := range words(s) {
		known = append(known, strings.ToLower(w), umlauts.Replace(strings.ToLower(w)))
	}
	estimated := cut(text)
	if utf8.RuneCountInString(estimated) > simpleRunes {
		estimated = fewerSigns.Replace(estimated)
	}
	result := zxcvbn.PasswordStrength(estimated, known)
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

func cut(text string) string {
	n := 0
	for i := range text {
		if n == estimatedRunes || i > estimatedBytes {
			return text[:i]
		}
		n++
	}
	return text
}

func hintsOf(m *match.Match) []string {
	switch m.Pattern {
	case "spatial":
		return []string{HintKeyboard}
	case "repeat":
		return []string{HintRepeat}
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
