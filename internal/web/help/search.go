package help

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// entry is an article as the search sees it: words without case and accents.
type entry struct {
	of                       *article
	title, words, lead, body []string
}

func entryOf(a *article) entry {
	e := entry{of: a, title: tokens(a.Title), words: tokens(a.Words), lead: tokens(a.Lead)}
	for _, s := range a.Sections {
		e.body = append(e.body, tokens(s.Heading)...)
		for _, b := range s.Blocks {
			e.body = append(e.body, tokens(b.Text+" "+strings.Join(b.Items, " ")+" "+b.Caption)...)
		}
	}
	return e
}

// maxQuery is what is read of a query, in bytes: more is no question.
const maxQuery = 200

// tokens cuts a text into words, lower case, without accents: "Gerät" is found by "gerat" and the other way round.
func tokens(s string) []string {
	plain := strings.Map(func(c rune) rune {
		if unicode.Is(unicode.Mn, c) {
			return -1
		}
		return unicode.ToLower(c)
	}, norm.NFD.String(s))
	return strings.FieldsFunc(plain, func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) })
}

// fillers say nothing about what somebody looks for; a query that has other words is not held to them.
var fillers = wordSet(`a an and are can do does how i if in is it me my not of on or the this to what when where who why with you your
	aber auf das dem den der die ein eine hat habe ich ist kann kein keine mein meine mich mir mit nicht oder und von was wenn wer wie wo zu
	au avec ce comment de des du en est et il j je la le les ma mes mon ne ou pas pour puis que quel quelle qui quoi sur un une
	al che chi come con cosa da dei del della di e gli ho i il in io la lo ma mi mia mio non o per piu quale si sono su un una`)

func wordSet(words string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(words) {
		set[w] = true
	}
	return set
}

// search returns the articles in which every word of the query begins a word, the best first. An empty query finds
// nothing.
func (l *library) search(query string) []*article {
	if len(query) > maxQuery {
		query = strings.ToValidUTF8(query[:maxQuery], "")
	}
	asked := tokens(query)
	if telling := slices.DeleteFunc(slices.Clone(asked), func(w string) bool { return fillers[w] }); len(telling) > 0 {
		asked = telling
	}
	if len(asked) == 0 {
		return nil
	}
	type hit struct {
		of    *article
		score int
	}
	var hits []hit
	for _, e := range l.index {
		total := 0
		for _, word := range asked {
			n := 8*begins(e.title, word) + 6*begins(e.words, word) + 3*begins(e.lead, word) + begins(e.body, word)
			if n == 0 {
				total = 0
				break
			}
			total += n
		}
		if total > 0 {
			hits = append(hits, hit{e.of, total})
		}
	}
	slices.SortStableFunc(hits, func(a, b hit) int { return b.score - a.score })
	out := make([]*article, len(hits))
	for i, h := range hits {
		out[i] = h.of
	}
	return out
}

// begins is 2 for the whole word, 1 for a beginning of one, 0 for none.
func begins(words []string, with string) int {
	best := 0
	for _, w := range words {
		if w == with {
			return 2
		}
		if len(with) > 2 && strings.HasPrefix(w, with) {
			best = 1
		}
	}
	return best
}
