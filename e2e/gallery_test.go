package e2e

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// Every sample of every page, in both realms' colours: axe finds nothing in German on a phone in the dark, nor in English on a
// desk in the light (every third one; with pictures all), and nothing of either is cut off at 320 px, as with 400 % zoom.
// `make gallery` keeps pictures of all of it.
func TestREQ_B90_SEC_U1_Gallery(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	c := d.walker()
	list, err := c.Get(d.Realms["shop"].URL + "/dev/pages")
	if err != nil || list.Status != http.StatusOK {
		t.Fatalf("the gallery answers %v %v", list, err)
	}
	var samples []string
	for _, l := range list.Links() {
		u, err := url.Parse(l)
		if err != nil || !strings.HasPrefix(u.Path, "/dev/pages/") {
			continue
		}
		u.RawQuery = ""
		if s := u.String(); !slices.Contains(samples, s) {
			samples = append(samples, s)
		}
	}
	if len(samples) < 30 {
		t.Fatalf("only %d samples: %q", len(samples), samples)
	}
	b := openBrowser(t, d.path(d.CAFile))
	p := b.person(t, "en")
	for i, sample := range samples {
		name := strings.TrimPrefix(sample, d.Realms["shop"].URL+"/dev/pages/")
		for j, lang := range []string{"en", "de"} {
			if lang == "en" && i%3 != 0 && !pictures() {
				continue // German is longer, and the frame is the same
			}
			// Realms take turns, so that both are seen on about half of the pages; German is checked at one size.
			realm := []string{"shop", "wealth"}[(i+j)%2]
			p.open(sample + "?lang=" + lang + "&realm=" + realm)
			if got := eval[string](p, "document.documentElement.lang"); got != lang {
				t.Errorf("%s: the page is in %q, not %q", name, got, lang)
			}
			if lang == "en" {
				p.axe(name + " light")
			}
			p.screen(320, 640, "dark")
			if lang == "de" {
				p.axe(name + " dark")
			}
			if wide := eval[int](p, "document.documentElement.scrollWidth"); wide > 320 {
				t.Errorf("%s in %s is %d px wide on a screen of 320", name, lang, wide)
			}
			if pictures() {
				p.look(name + "-" + lang)
			}
			p.screen(1440, 900, "light")
		}
	}
}
