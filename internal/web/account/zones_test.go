package account

import (
	"slices"
	"testing"
	"time"
	_ "time/tzdata"

	"doorward/internal/web"
)

func TestREQ_B89_EveryZoneOfferedExists(t *testing.T) {
	for i, z := range zones {
		if _, err := time.LoadLocation(z); err != nil {
			t.Errorf("%s: %v", z, err)
		}
		if slices.Contains(zones[:i], z) {
			t.Errorf("%s is there twice", z)
		}
	}
	has := func(all []web.Choice, zone string) bool {
		return slices.ContainsFunc(all, func(c web.Choice) bool { return c.Value == zone })
	}
	if all := zoneChoices("Europe/Zurich"); len(all) != len(zones) || !has(all, "America/New_York") {
		t.Errorf("a zone that is offered: %d choices", len(all))
	}
	if all := zoneChoices("Asia/Kathmandu"); len(all) != len(zones)+1 || !has(all, "Asia/Kathmandu") {
		t.Error("a zone that came by an import is not among the choices, so saving the page would change it")
	}
}
