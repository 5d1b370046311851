package web

import (
	"slices"
	"testing"
	"time"
	_ "time/tzdata"
)

func TestREQ_B89_EveryZoneOfferedExists(t *testing.T) {
	for i, z := range zonesOffered {
		if _, err := time.LoadLocation(z); err != nil {
			t.Errorf("%s: %v", z, err)
		}
		if slices.Contains(zonesOffered[:i], z) {
			t.Errorf("%s is there twice", z)
		}
	}
	has := func(all []Choice, zone string) bool {
		return slices.ContainsFunc(all, func(c Choice) bool { return c.Value == zone })
	}
	if all := ZoneChoices("Europe/Zurich"); len(all) != len(zonesOffered) || !has(all, "America/New_York") {
		t.Errorf("a zone that is offered: %d choices", len(all))
	}
	if all := ZoneChoices("Asia/Kathmandu"); len(all) != len(zonesOffered)+1 || !has(all, "Asia/Kathmandu") {
		t.Error("a zone that came by an import is not among the choices, so saving the page would change it")
	}
}
