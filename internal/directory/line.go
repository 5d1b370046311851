package directory

import (
	"strings"
	"unicode"
)

// Line makes what somebody typed as a name fit to be shown to others: one line, single spaces, nothing invisible.
// Direction marks could turn the words beside a name around, and a name of invisible letters could be another's; the two
// joiners stay, since some scripts are written with them.
func Line(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r) || unicode.IsControl(r):
			return ' '
		case unicode.IsGraphic(r) || r == '\u200c' || r == '\u200d':
			return r
		}
		return -1
	}, strings.ToValidUTF8(s, ""))
	s = strings.Join(strings.Fields(s), " ")
	if strings.Trim(s, "\u200c\u200d ") == "" {
		return ""
	}
	return s
}
