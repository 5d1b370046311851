// Package dictionary keeps the word lists of zxcvbn from being indexed before somebody chooses a password.
//
// zxcvbn makes maps of 94,000 words while the program starts: that was a third of the time to the first answer of every node
// and of every command, and 10 MB in a node that estimates nothing. The library has no switch
// for it. So:
//
//   - The lists are a variable of a package of their own (frequency), which zxcvbn reads once. This package needs nothing but
//     that one, so it begins before zxcvbn does: of packages that are ready the one with the least import path is first
//     (Go specification, "Program initialization"; "doorward" comes before "github.com"). It takes the lists out.
//   - Load puts what zxcvbn would have made of them into zxcvbn's own variable, by its linker name.
//
// zxcvbn's version is fixed in go.mod, and the tests see whether the lists are where they are thought to be: were they not, an
// estimate would take common words for good passwords.
package dictionary

import (
	"strings"
	"sync"
	_ "unsafe" // for the linker name

	"github.com/trustelem/zxcvbn/frequency"
)

// lists are the words of each list, the most common first.
var lists = func() map[string][]string {
	l := frequency.FrequencyLists
	frequency.FrequencyLists = nil
	return l
}()

// known is what zxcvbn looks words up in: list, word in small letters, rank from 1.
//
//go:linkname known github.com/trustelem/zxcvbn/matching.defaultRankedDictionnaries
var known struct {
	ranked map[string]map[string]int
}

// Lists are the words of each list by its name, the most common first. They are not to be changed.
func Lists() map[string][]string { return lists }

var once sync.Once

// Load indexes the lists when it is first called, in some 15 ms. Every estimate of zxcvbn has to come after it.
func Load() {
	once.Do(func() {
		ranked := make(map[string]map[string]int, len(lists))
		for name, words := range lists {
			of := make(map[string]int, len(words))
			for i, w := range words {
				of[strings.ToLower(w)] = i + 1
			}
			ranked[name] = of
		}
		known.ranked = ranked
	})
}
