package web

import (
	"slices"
	"strings"
	"time"

	"doorward/internal/audit"
	"doorward/internal/authn"
)

// Happening is one line of a history: an audit event as people read it. Its sentence stands in the catalogues under
// "event." + Type, with the variant of its kind or reason where there is one.
type Happening struct {
	ID      string
	Type    string
	Kind    authn.Kind // what it is about, empty for none
	Name    string     // name of the authenticator or person, as somebody typed it
	Number  string     // of the request it is about
	Reason  string
	Code    string // code of a refused answer
	At      time.Time
	Tone    string // "ok", "bad" or empty
	Icon    string
	By      string // who did it, when it was somebody else
	Said    string // why, as they typed it
	Browser string
	Network string
}

// HappeningOf reads an event for the history of a person.
func HappeningOf(e audit.Event, person string) Happening {
	h := Happening{
		ID: e.ID, Type: e.Type, Kind: authn.Kind(e.Data["kind"]), Name: e.Data["name"], Reason: e.Reason, Code: e.Data["code"], Number: e.Data["number"],
		At: e.At, Browser: e.Browser, Network: e.Network,
	}
	if h.Name == "" {
		h.Name = e.Data["device"]
	}
	if e.Actor != person {
		if h.By = e.Data["by"]; typed(e.Reason) {
			h.Said = e.Reason
		}
	}
	if e.Data["result"] == "failed" { // of a check
		h.Reason = "failed"
	}
	switch area, _, _ := strings.Cut(e.Type, "."); {
	case e.Type == "signin.succeeded" || e.Type == "setup.completed" || e.Type == "terms.accepted":
		h.Tone, h.Icon = "ok", "check"
	case area == "activation":
		h.Icon = "call"
		if e.Type == "activation.rejected" || e.Type == "activation.ended" || e.Type == "activation.locked" {
			h.Tone = "bad"
		}
	case strings.HasSuffix(e.Type, ".failed") || strings.HasSuffix(e.Type, ".refused") || e.Type == "limiter.tripped" || e.Type == "terms.declined":
		h.Tone, h.Icon = "bad", "block"
	case area == "credential" && h.Kind == authn.Password || area == "password" || e.Type == "evidence.shown" && h.Kind == authn.Password:
		h.Icon = "key"
	case area == "certificate":
		h.Icon = "certificate"
		if e.Type == "certificate.twice" {
			h.Tone, h.Icon = "bad", "alert"
		}
	case area == "credential" || area == "evidence":
		h.Icon = "phone"
	case area == "invitation" || area == "mail":
		h.Icon = "mail"
	case area == "session" || area == "flow":
		h.Icon = "laptop"
	case e.Type == "request.alarm" || h.Reason == "failed" && e.Type == "request.checked":
		h.Tone, h.Icon = "bad", "alert"
	case area == "request":
		h.Icon = "inbox"
	case area == "person" || area == "organization":
		h.Icon = "user"
	default:
		h.Icon = "info"
	}
	return h
}

// typed tells what somebody wrote from a code of ours, which has lower-case letters and dashes only.
func typed(reason string) bool { return strings.Trim(reason, "abcdefghijklmnopqrstuvwxyz-") != "" }

// notes are events whose words the desk wrote for itself: how a caller was checked, and why somebody was not believed.
var notes = []string{"request.checked", "request.refused", "request.answered", "activation.rejected"}

// Own is the line as the person themselves reads it, or whoever has taken their session: without the notes of the desk.
func (h Happening) Own() Happening {
	if slices.Contains(notes, h.Type) {
		h.Said = ""
	}
	return h
}

// Sentence is what happened, in the reader's words.
func (v *Visit) Sentence(h Happening) string {
	name := h.Name
	if name == "" && h.Kind != "" {
		name = v.T("event.kind." + string(h.Kind))
	}
	args := []any{"name", name, "number", h.Number}
	for _, variant := range []string{string(h.Kind), h.Reason} {
		if key := "event." + h.Type + "." + variant; variant != "" && v.Has(key) {
			return v.T(key, args...)
		}
	}
	if key := "event." + h.Type; v.Has(key) {
		return v.T(key, args...)
	}
	return v.T("event.other", "type", h.Type)
}

// Refusal says why an answer was refused, empty where the history has no words for it.
func (v *Visit) Refusal(h Happening) string {
	if key := "event.refusal." + h.Code; h.Code != "" && v.Has(key) {
		return v.T(key)
	}
	return ""
}
