package rig_test

import (
	"flag"
	"os"
	"testing"
)

// TestMain keeps random walks short in everyday runs, and lets `make torture` take its time.
func TestMain(m *testing.M) {
	if step := os.Getenv(killStep); step != "" {
		die(step)
	}
	flag.Parse()
	explicit := false
	flag.Visit(func(f *flag.Flag) { explicit = explicit || f.Name == "rapid.checks" })
	if !explicit {
		checks := "8"
		if os.Getenv("DOORWARD_TORTURE") != "" {
			checks = "1000"
		}
		if err := flag.Set("rapid.checks", checks); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
