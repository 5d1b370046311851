package dictionary_test

import (
	"slices"
	"testing"

	"github.com/trustelem/zxcvbn"
	"github.com/trustelem/zxcvbn/frequency"

	"doorward/internal/authn/password/dictionary"
)

// One test, because what it looks at happens once: nothing is indexed while the program starts, and afterwards zxcvbn knows
// the words of every list.
func TestListsAreIndexedWhenTheyAreNeeded(t *testing.T) {
	lists := dictionary.Lists()
	if n, left := len(dictionary.Known()), len(frequency.FrequencyLists); n != 0 || left != 0 || len(lists) != 6 {
		t.Fatalf("%d lists are indexed at the start, %d are left to zxcvbn, %d are kept", n, left, len(lists))
	}
	words := map[string]string{} // one of each list, and none of two
	for name, all := range lists {
		for _, w := range all[len(all)/2:] {
			if len(w) > 6 && !elsewhere(name, w) {
				words[name] = w
				break
			}
		}
	}
	if len(words) != 6 {
		t.Fatalf("only %v", words)
	}
	for name, w := range words {
		if got := zxcvbn.PasswordStrength(w, nil); len(got.Sequence) == 1 && got.Sequence[0].Pattern == "dictionary" {
			t.Errorf("%s of %s is known before Load", w, name)
		}
	}
	dictionary.Load()
	for name, w := range words {
		got := zxcvbn.PasswordStrength(w, nil)
		if len(got.Sequence) != 1 || got.Sequence[0].DictionaryName != name || got.Sequence[0].Rank == 0 {
			t.Errorf("%s of %s: %+v", w, name, got.Sequence)
		}
	}
	if got := zxcvbn.PasswordStrength("password", nil); got.Sequence[0].Rank != 2 {
		t.Errorf("the second most common password has rank %d", got.Sequence[0].Rank)
	}
}

// elsewhere reports whether another list has a word, too.
func elsewhere(name, word string) bool {
	for other, all := range dictionary.Lists() {
		if other != name && slices.Contains(all, word) {
			return true
		}
	}
	return false
}
