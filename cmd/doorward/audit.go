package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/mod/sumdb/note"

	"doorward/internal/audit"
	"doorward/internal/sqlstore"
)

type auditCommand struct {
	Verify auditVerifyCommand `cmd:"" help:"Recompute the whole trail and name every row that was changed."`
}

type auditVerifyCommand struct {
	Anchor string `help:"File of checkpoints kept elsewhere; the one of the configuration when left out." type:"path"`
	Key    string `help:"Public key kept elsewhere, as this command prints it; else the key ring is trusted."`
}

// verified is what the command prints.
type verified struct {
	OK          bool            `json:"ok"`
	Key         string          `json:"key"`
	Leaves      int64           `json:"leaves"`
	Pending     int             `json:"pending"`
	Checkpoints int             `json:"checkpoints"`
	Anchored    int             `json:"anchored"`
	Proven      int64           `json:"proven"`
	ProvenAt    time.Time       `json:"proven_at"`
	Findings    []audit.Finding `json:"findings"`
}

// Run fails when the trail does not prove itself. It changes nothing.
func (cmd auditVerifyCommand) Run(c *call) error {
	g, err := c.open()
	if err != nil {
		return err
	}
	defer g.Close()
	key := cmd.Key
	if key == "" {
		if key, err = g.verifierKey(); err != nil {
			return err
		}
	}
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return usageError("--key is not the key that `doorward audit verify` prints")
	}
	anchored, err := cmd.anchored(c, g)
	if err != nil {
		return err
	}
	var report audit.Report
	err = g.store.Read(c.ctx, func(tx *sqlstore.Tx) (err error) {
		report, err = audit.Verify(c.ctx, tx, verifier, anchored)
		return err
	})
	if err != nil {
		return err
	}
	for _, f := range report.Findings {
		fmt.Fprintln(c.errs, f.String())
	}
	if report.More > 0 {
		fmt.Fprintf(c.errs, "and %d more\n", report.More)
	}
	c.say("%d events in the tree (%d not yet placed), %d of them under %d signed checkpoints, %d checkpoints from outside.",
		report.Size, report.Pending, report.Proven, report.Checkpoints, report.Anchored)
	if report.Anchored == 0 {
		c.say("Without an anchor nobody can tell whether the end was cut off: set audit.anchor.")
	}
	c.say("Key: %s", key)
	err = c.print(verified{
		OK: report.OK(), Key: key, Leaves: report.Size, Pending: report.Pending, Checkpoints: report.Checkpoints, Anchored: report.Anchored,
		Proven: report.Proven, ProvenAt: report.ProvenAt, Findings: append([]audit.Finding{}, report.Findings...),
	})
	if err == nil && !report.OK() {
		return errors.New("the trail was changed; see above")
	}
	return err
}

// anchored reads the checkpoints kept outside.
func (cmd auditVerifyCommand) anchored(c *call, g *ground) ([]string, error) {
	path, named := cmd.Anchor, cmd.Anchor != ""
	if !named {
		path = g.conf.Audit.Anchor
	}
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return nil, nil // no checkpoint was made yet
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	notes, torn, err := audit.ReadAnchor(f)
	if torn > 0 {
		c.say("%d lines of %s are torn and were left out.", torn, path)
	}
	return notes, err
}
