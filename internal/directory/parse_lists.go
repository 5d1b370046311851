package directory

import (
	"slices"
	"strconv"
	"time"
)

// Where an authenticator can be had. An app needs both shops of phones; an extension needs one browser at least (Safari
// has none, REQ B30).
var (
	appStores       = []string{"ios", "android"}
	extensionStores = []string{"chrome", "firefox", "edge"}
)

const listLimit = 50 // authenticators, topics, relying parties, each

// apps checks the authenticators (REQ B8, B11, B17, B63, B91).
func (c *check) apps() {
	ids := map[string]bool{}
	recommended, offered := 0, 0
	if len(c.r.Apps) > listLimit {
		c.Bad("authenticator", "more than %d", listLimit)
	}
	for i := range c.r.Apps {
		a, at := &c.r.Apps[i], "authenticator["+strconv.Itoa(i)+"]"
		c.id(at+".id", a.ID, ids)
		c.line(at+".name", a.Name, 60)
		c.line(at+".version", a.Version, 40)
		c.localized(at+".about", a.About, 300, false)
		c.stores(at, a)
		for _, lang := range c.spoken {
			steps, ok := a.Steps[lang]
			if !ok || len(steps) == 0 {
				c.Bad(at+".steps", "missing in %q", lang)
			}
			if len(steps) > 12 {
				c.Bad(at+".steps."+lang, "more than 12 steps")
			}
			for n, step := range steps {
				c.line(at+".steps."+lang+"["+strconv.Itoa(n)+"]", step, 400)
			}
		}
		for lang := range a.Steps {
			if len(c.spoken) > 0 && !slices.Contains(c.spoken, lang) {
				c.Bad(at+".steps."+lang, "the realm does not speak %q", lang)
			}
		}
		if !a.Hidden {
			offered++
		}
		if a.Recommended {
			recommended++
			if a.Hidden {
				c.Bad(at+".recommended", "hidden and recommended at once")
			}
			if recommended > 1 {
				c.Bad(at+".recommended", "one authenticator is recommended, not several")
			}
		}
	}
	if offered == 0 {
		c.Bad("authenticator", "at least one is to be offered")
	}
}

func (c *check) stores(at string, a *App) {
	var fits []string
	switch a.Kind {
	case "app":
		fits = appStores
		for _, store := range appStores {
			if a.Stores[store] == "" {
				c.Bad(at+".stores", "the link for %q is missing", store)
			}
		}
	case "extension":
		fits = extensionStores
		if len(a.Stores) == 0 {
			c.Bad(at+".stores", "the link of at least one browser is missing")
		}
	default:
		c.Bad(at+".kind", "%q is none of app, extension", a.Kind)
		return
	}
	for store, link := range a.Stores {
		if !slices.Contains(fits, store) {
			c.Bad(at+".stores."+store, "not a place where people get an %s", a.Kind)
			continue
		}
		c.link(at+".stores."+store, link)
	}
}

func (c *check) terms() {
	t := &c.r.Terms
	c.line("terms.version", t.Version, 40)
	if t.InForce.IsZero() {
		c.Bad("terms.in_force", "a date such as 2026-09-01")
	} else if t.InForce.Location() == time.Local {
		y, m, d := t.InForce.Date() // a date without a zone means the same day everywhere
		t.InForce = time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	}
	t.InForce = t.InForce.UTC()
	c.localized("terms.text", t.Text, 60_000, true)
}

func (c *check) lists() {
	if len(c.r.Topics) > listLimit || len(c.r.Relying) > listLimit {
		c.BadAt(1, "", "more than %d topics or relying parties", listLimit)
	}
	ids := map[string]bool{}
	for i, topic := range c.r.Topics {
		at := "topic[" + strconv.Itoa(i) + "]"
		c.id(at+".id", topic.ID, ids)
		c.localized(at+".name", topic.Name, 60, false)
		c.localized(at+".about", topic.About, 300, false)
	}
	c.relying()
	if len(c.r.Manager) > 0 {
		c.localized("password_managers", c.r.Manager, 400, false)
	}
}

// id wants a short name that stands once in its list.
func (c *check) id(path, id string, seen map[string]bool) {
	if !slug.MatchString(id) {
		c.Bad(path, "2 to 32 lower-case letters, digits and hyphens, beginning with a letter")
		return
	}
	if seen[id] {
		c.Bad(path, "%q stands twice", id)
	}
	seen[id] = true
}
