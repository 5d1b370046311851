package main

import (
	"slices"
	"testing"

	"doorward/internal/authn"
	"doorward/internal/secret"
)

// A roll-out that asks for a kind nobody can show would shut everybody out at its end; one that asks for a kind people can
// show must not be refused.
func TestREQ_B84_ARollOutMayAskForWhatIsWired(t *testing.T) {
	ring, err := secret.NewRing()
	if err != nil {
		t.Fatal(err)
	}
	var wired []authn.Kind
	for _, m := range methods(ring, nil) {
		if info, _ := authn.Info(m.Kind()); info.Held && info.Categories != 0 {
			wired = append(wired, m.Kind())
		}
	}
	if !slices.Equal(wired, built) {
		t.Errorf("wired are %v, roll-outs may ask for %v", wired, built)
	}
}
