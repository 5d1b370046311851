package main

import (
	"os"

	"doorward/internal/tomlfile"
)

type applyCommand struct {
	File   string `arg:"" help:"Realm file." type:"path"`
	DryRun bool   `help:"Only show what would change."`
}

// Run applies the file and says what changed. A server that is running takes it within a second.
func (cmd applyCommand) Run(c *call) error {
	text, err := readRealmFile(cmd.File)
	if err != nil {
		return err
	}
	g, err := c.open()
	if err != nil {
		return err
	}
	defer g.Close()
	a, err := g.realms().Apply(c.ctx, cmd.File, text, cmd.DryRun)
	if err != nil {
		return err
	}
	for _, w := range a.Warnings {
		c.say("warning: %s", w.Error())
	}
	for _, line := range append(a.Changes, a.Effects...) {
		c.say("%s", line)
	}
	switch {
	case !a.Changed:
		c.say("Realm %s is already as the file says.", a.Realm)
	case cmd.DryRun:
		c.say("Nothing was written (--dry-run).")
	default:
		c.say("Realm %s was applied.", a.Realm)
	}
	return c.print(a)
}

// readRealmFile reads a file that is to be parsed; one that is too large is refused before it is read whole.
func readRealmFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > tomlfile.Limit {
		return nil, tomlfile.Problems{{File: path, Reason: "too large for a realm file"}}
	}
	return os.ReadFile(path)
}
