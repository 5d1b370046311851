package mail

import (
	"embed"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"doorward/internal/directory"
)

// Rules of words that come from outside (names, browsers, organizations): they were chosen by somebody, perhaps by
// somebody who means harm to the reader of the mail. They are one line, of bounded length, without invisible
// characters, and mail programs find no link in them: "Ada, sign in at evil.example" must not become a link in a mail
// of ours.

//go:embed catalog/*.json
var catalogFiles embed.FS

// Languages are those that mails are written in.
var Languages = []string{"en", "de", "fr", "it"}

var catalogs = sync.OnceValues(func() (map[string]map[string]string, error) {
	all := make(map[string]map[string]string, len(Languages))
	for _, lang := range Languages {
		data, err := catalogFiles.ReadFile("catalog/" + lang + ".json")
		if err != nil {
			return nil, fmt.Errorf("mail catalogue: %w", err)
		}
		var words map[string]string
		if err := json.Unmarshal(data, &words); err != nil {
			return nil, fmt.Errorf("mail catalogue %s: %w", lang, err)
		}
		all[lang] = words
	}
	return all, nil
})

// voice speaks one language in one time zone.
type voice struct {
	lang  string
	zone  *time.Location
	words map[string]string
	err   error // the first word that was missing
}

// newVoice picks the message's language, else the person's, else the realm's first, else English; and the person's
// zone, else the realm's, else UTC.
func newVoice(r directory.Realm, p directory.Person, m Message) (*voice, error) {
	all, err := catalogs()
	if err != nil {
		return nil, err
	}
	v := &voice{zone: time.UTC}
	for _, lang := range append([]string{m.Language, p.Language}, append(r.Languages, "en")...) {
		if words, ok := all[lang]; ok {
			v.lang, v.words = lang, words
			break
		}
	}
	for _, name := range []string{p.Zone, r.Zone} {
		if name == "" || name == "Local" {
			continue
		}
		if zone, err := time.LoadLocation(name); err == nil {
			v.zone = zone
			break
		}
	}
	return v, nil
}

// Title is what a message says at its top, for a page that has to name the message. Only for templates whose title has
// no placeholder, as that of every notice; empty where a language or template is unknown.
func Title(lang, template string) string {
	all, err := catalogs()
	if err != nil { // embedded: the tests see it
		return ""
	}
	return all[lang][template+".title"]
}

// say fills the placeholders {name} of a text; pairs are name and value. Values are put in as they are.
func (v *voice) say(key string, pairs ...string) string {
	text, ok := v.words[key]
	if !ok && v.err == nil {
		v.err = fmt.Errorf("mail catalogue %s has no %q", v.lang, key)
	}
	for i := 0; i < len(pairs); i += 2 {
		pairs[i] = "{" + pairs[i] + "}"
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// has reports whether the language has the key; optional sentences of a template use it.
func (v *voice) has(key string) bool { _, ok := v.words[key]; return ok }

// when writes a time with its zone: "21 November 2026, 10:14 (Zurich)".
func (v *voice) when(t time.Time) string {
	t = t.In(v.zone)
	day := strconv.Itoa(t.Day())
	if t.Day() == 1 {
		switch v.lang {
		case "fr":
			day = "1er"
		case "it":
			day = "1º"
		}
	}
	months := strings.Fields(v.say("months"))
	if len(months) != 12 {
		v.err = fmt.Errorf("mail catalogue %s names %d months", v.lang, len(months))
		return t.Format(time.RFC3339)
	}
	zone := v.zone.String()
	zone = strings.ReplaceAll(zone[strings.LastIndexByte(zone, '/')+1:], "_", " ")
	return v.say("time", "day", day, "month", months[t.Month()-1], "year", strconv.Itoa(t.Year()), "clock", t.Format("15:04"), "zone", zone)
}

// where writes place, browser and network, whichever are known.
func (v *voice) where(args map[string]string) string {
	var parts []string
	if place := foreign(args["place"]); place != "" {
		parts = append(parts, place)
	}
	if browser, system, ok := strings.Cut(foreign(args["browser"]), " on "); ok {
		parts = append(parts, v.say("where.browser", "browser", browser, "system", system))
	} else if browser != "" {
		parts = append(parts, browser)
	}
	network := args["network"]
	if _, err := netip.ParseAddr(network); err != nil {
		network = foreign(network)
	}
	if network != "" {
		parts = append(parts, v.say("where.network", "network", network))
	}
	if len(parts) == 0 {
		return v.say("where.unknown")
	}
	return strings.Join(parts, ", ")
}

// kind names a way to sign in.
func (v *voice) kind(kind string) string {
	if key := "kind." + kind; v.has(key) {
		return v.say(key)
	}
	return v.say("kind.other")
}

const foreignMax = 120 // runes of a name; the longest address is longer and is never cut, see plain

// foreign makes a word from outside safe to stand in a sentence.
func foreign(s string) string {
	r := []rune(plain(s))
	if len(r) > foreignMax {
		r = append(r[:foreignMax-1], '…')
	}
	out := make([]rune, 0, len(r)+8)
	for i, c := range r {
		if (c == '.' || c == ':' || c == '/' || c == '@') && i > 0 && i+1 < len(r) && r[i+1] != ' ' && !(digit(r[i-1]) && digit(r[i+1])) {
			out = append(out, joiner) // breaks what a mail program would take for a link; it cannot be seen
		}
		out = append(out, c)
	}
	return string(out)
}

const joiner = '\u2060' // WORD JOINER

func digit(c rune) bool { return c >= '0' && c <= '9' }

// plain drops control and invisible characters and folds white space, so that a text is one line.
func plain(s string) string {
	s = strings.Map(func(c rune) rune {
		switch {
		case unicode.IsSpace(c):
			return ' '
		case unicode.IsControl(c), unicode.Is(unicode.Cf, c), c == unicode.ReplacementChar, unicode.Is(unicode.Co, c):
			return -1
		}
		return c
	}, s)
	return strings.Join(strings.Fields(s), " ")
}
