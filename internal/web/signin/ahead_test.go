package signin_test

import (
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
)

func TestREQ_B2_WhatComesIsAnnouncedAndCanBePutOff(t *testing.T) {
	f := &fake{view: view(authn.Step{Act: authn.ActBind, Kinds: []authn.Kind{authn.TOTP}, Later: true})}
	f.view.Ahead = []directory.Due{{Rollout: directory.Rollout{Name: directory.Localized{"en": "A second step"}, About: directory.Localized{"en": "You show a code as well."}},
		Until: time.Date(2026, 12, 15, 7, 0, 0, 0, time.UTC)}}
	b := door(f)
	wants(t, b.Get("/signin/f"), 200, "A second step", "You show a code as well.", "15 December", `action="/signin/`+flowID+`/later"`, `href="/signin/`+flowID+`?go=1"`)
	wants(t, b.Get("/signin/f?go=1"), 200, `action="/signin/`+flowID+`/choose"`, "Do it later")
	f.view.Flow.Choice = "microsoft"
	wants(t, b.Get("/signin/f?later=1"), 200, `action="/signin/`+flowID+`/later"`)
	b.Post("/signin/f/later", none)
	if !f.called("Later") {
		t.Errorf("calls %v", f.calls)
	}
	// From the end of grace on nothing announces it: it is the step.
	f.view.Flow.Choice, f.view.Step.Later, f.view.Ahead = "", false, nil
	w := b.Get("/signin/f")
	wants(t, w, 200, `action="/signin/`+flowID+`/choose"`)
}
