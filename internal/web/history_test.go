package web

import (
	"testing"

	"doorward/internal/audit"
)

func TestREQ_B82_TheHistorySaysWhoAndWhy(t *testing.T) {
	by := func(kind, reason string) Happening {
		return HappeningOf(audit.Event{Type: kind, Actor: "9", Person: "1", Reason: reason, Data: map[string]string{"by": "Hana Operator"}}, "1")
	}
	if h := by("request.opened", "Phone lost"); h.By != "Hana Operator" || h.Said != "Phone lost" || h.Own().Said != "Phone lost" {
		t.Errorf("%+v", h)
	}
	for _, kind := range []string{"request.checked", "request.refused", "request.answered", "activation.rejected"} {
		if h := by(kind, "Knew no name"); h.Said != "Knew no name" || h.Own().Said != "" {
			t.Errorf("%s: the notes of the desk are for the desk: %+v", kind, h)
		}
	}
	if h := by("request.cancelled", "signed-out-elsewhere"); h.Said != "" {
		t.Errorf("a code of ours is told as somebody's words: %q", h.Said)
	}
	if h := HappeningOf(audit.Event{Type: "person.changed", Actor: "1", Person: "1", Reason: "By themselves"}, "1"); h.By != "" || h.Said != "" {
		t.Errorf("%+v", h)
	}
	if h := HappeningOf(audit.Event{Type: "request.checked", Actor: "9", Data: map[string]string{"result": "failed"}}, "1"); h.Tone != "bad" || h.Reason != "failed" {
		t.Errorf("%+v", h)
	}
}
