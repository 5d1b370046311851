package apply

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"doorward/internal/directory"
)

// What changes between two realms, in lines for the person who is about to say yes. Paths are those of the file. Texts
// of several lines are compared line by line, so that a changed sentence of the terms or a changed line of the policy is
// seen for itself.

// difference lists the changes from old (zero for a new realm) to r, sorted by path.
func difference(old, r directory.Realm) ([]string, error) {
	after, err := flat(r)
	if err != nil {
		return nil, err
	}
	if old.Version == 0 {
		return []string{"new realm " + r.ID + " (" + r.Name + ") at " + r.Origin}, nil
	}
	before, err := flat(old)
	if err != nil {
		return nil, err
	}
	paths := slices.Sorted(maps.Keys(after))
	for p := range before {
		if _, ok := after[p]; !ok {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	var out []string
	for _, p := range paths {
		was, had := before[p]
		is, has := after[p]
		switch {
		case was == is && had == has:
		case strings.Contains(was+is, "\n"):
			out = append(out, p+":")
			for _, l := range lines(was, is) {
				out = append(out, "  "+l)
			}
		case !had:
			out = append(out, p+": "+short(is)+" (new)")
		case !has:
			out = append(out, p+": "+short(was)+" (removed)")
		default:
			out = append(out, p+": "+short(was)+" -> "+short(is))
		}
	}
	return out, nil
}

// flat turns a realm into paths and values. Elements of lists that have an id go by it, so that moving one up is not
// told as a change of all.
func flat(r directory.Realm) (map[string]string, error) {
	doc, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	var v any
	if err := json.Unmarshal(doc, &v); err != nil {
		return nil, err
	}
	out := map[string]string{}
	flatten(out, "", v)
	return out, nil
}

func flatten(out map[string]string, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			p := k
			if path != "" {
				p = path + "." + k
			}
			flatten(out, p, e)
		}
	case []any:
		var order []string
		for i, e := range v {
			name := strconv.Itoa(i + 1)
			if m, ok := e.(map[string]any); ok {
				if id, ok := m["id"].(string); ok {
					name = id
					order = append(order, id)
				}
			}
			flatten(out, path+"["+name+"]", e)
		}
		if len(order) > 1 {
			out[path+" in order"] = strings.Join(order, ", ")
		}
	case nil:
	case string:
		if v != "" {
			out[path] = v
		}
	default:
		out[path] = fmt.Sprint(v)
	}
}

const shortLimit = 60

func short(s string) string {
	if utf8.RuneCountInString(s) > shortLimit {
		s = string([]rune(s)[:shortLimit]) + "…"
	}
	return strconv.Quote(s)
}

// lines compares two texts line by line (longest common subsequence) and returns what goes (-) and comes (+).
func lines(was, is string) []string {
	a, b := strings.Split(strings.TrimSpace(was), "\n"), strings.Split(strings.TrimSpace(is), "\n")
	if was == "" {
		a = nil
	}
	if is == "" {
		b = nil
	}
	if len(a)*len(b) > 1<<20 { // a table of that size helps nobody
		return []string{fmt.Sprintf("%d lines -> %d lines", len(a), len(b))}
	}
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out []string
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			i, j = i+1, j+1
		case i < len(a) && (j == len(b) || common[i+1][j] >= common[i][j+1]):
			out = append(out, "- "+a[i])
			i++
		default:
			out = append(out, "+ "+b[j])
			j++
		}
	}
	return out
}

// effects says what a change means for people, where a file's author may not think of it.
func effects(old, r directory.Realm) []string {
	if old.Version == 0 {
		return nil
	}
	var out []string
	add := func(is bool, words string) {
		if is {
			out = append(out, words)
		}
	}
	add(old.Host != r.Host, "The host changes: links that were mailed lead to the old one, and everybody signs in again.")
	add(old.Policy != r.Policy, "The policy changes: sessions and flows that are open are judged by the new one at their next use. `doorward policy check` says who would be stranded.")
	add(old.Terms.Version != r.Terms.Version, "The terms have a new version: everybody reads and accepts them at the next sign-in.")
	add(old.Terms.Version == r.Terms.Version && fmt.Sprint(old.Terms.Text) != fmt.Sprint(r.Terms.Text),
		"The text of the terms changes under the same version: nobody is asked to accept it anew.")
	add(r.Password.Length > old.Password.Length, "Passwords that are shorter than the new length stay valid until they are changed.")
	for _, lang := range old.Languages {
		add(!slices.Contains(r.Languages, lang), "People who chose "+lang+" see the realm in "+r.Languages[0]+".")
	}
	return out
}
