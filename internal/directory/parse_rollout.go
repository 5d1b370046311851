package directory

import (
	"strconv"
	"strings"
	"time"
)

// rollouts checks what is switched on in waves. Whether the policy can be met, and whether the organizations are there, is
// for the caller (apply), which knows the language and the database. Dates may lie in the past: a file is applied again
// long after its waves.
func (c *check) rollouts() {
	if len(c.r.Rollouts) > listLimit {
		c.Bad("rollout", "more than %d", listLimit)
	}
	zone, err := time.LoadLocation(c.r.Zone)
	if err != nil {
		zone = time.UTC // the zone is blamed already
	}
	ids := map[string]bool{}
	for i := range c.r.Rollouts {
		ro, at := &c.r.Rollouts[i], "rollout["+strconv.Itoa(i)+"]"
		c.id(at+".id", ro.ID, ids)
		c.localized(at+".name", ro.Name, 80, false)
		c.localized(at+".about", ro.About, 600, false)
		if strings.TrimSpace(ro.Policy) == "" {
			c.Bad(at+".policy", "missing or empty: login, then or fresh of the policy language")
		}
		ro.PolicyLine = c.TextLine(at + ".policy")
		if len(ro.Waves) == 0 {
			c.Bad(at+".wave", "at least one")
		}
		named := map[string]bool{}
		for j := range ro.Waves {
			c.wave(at+".wave["+strconv.Itoa(j)+"]", &ro.Waves[j], named, zone)
		}
	}
}

func (c *check) wave(at string, w *Wave, named map[string]bool, zone *time.Location) {
	w.Line = c.Line(at + ".organizations")
	if len(w.Organizations) == 0 {
		c.Bad(at+".organizations", "at least one name, or %q for all others", Everywhere)
	}
	for _, name := range w.Organizations {
		switch key := strings.ToLower(name); {
		case strings.TrimSpace(name) == "" || name != strings.TrimSpace(name):
			c.Bad(at+".organizations", "%q is no name", name)
		case named[key]:
			c.Bad(at+".organizations", "%q stands in two waves, or twice", name)
		default:
			named[key] = true
		}
	}
	from, ok := moment(w.WrittenFrom, zone)
	if !ok {
		c.Bad(at+".from", "a date such as 2026-12-01, or a time such as 2026-12-01T06:00:00+01:00")
	}
	until, ok2 := moment(w.WrittenUntil, zone)
	if !ok2 {
		c.Bad(at+".until", "a date such as 2026-12-15, or a time such as 2026-12-15T06:00:00+01:00: from then on nobody can put it off")
	}
	if ok && ok2 && until.Sub(from) < GraceLeast {
		c.Bad(at+".until", "grace lasts a day at least: whoever is to set something up has to see it")
	}
	w.From, w.Until = from, until
}
