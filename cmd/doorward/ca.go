package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"doorward/internal/apply"
	"doorward/internal/certify"
	"doorward/internal/directory"
	"doorward/internal/hsm"
	"doorward/internal/pki"
	"doorward/internal/renewal"
	"doorward/internal/sqlstore"
)

// caCommands run the certificate authorities of devices. init-root and sign need no configuration and no database: they are
// for a machine that is on no network.
type caCommands struct {
	InitRoot caInitRootCommand `cmd:"" help:"Make a root, on a machine that is on no network: its certificate, and its key in one file or in several hands."`
	Request  caRequestCommand  `cmd:"" help:"Make the key of a realm's next issuing authority and its request."`
	Sign     caSignCommand     `cmd:"" help:"Sign such a request with the root, on the machine of init-root."`
	Import   caImportCommand   `cmd:"" help:"Take the certificate that came back. The realm's first signs at once, a later one after rotate."`
	List     caListCommand     `cmd:"" help:"List the authorities of a realm."`
	Inspect  caInspectCommand  `cmd:"" help:"Show a certificate, or what was never finished, with its fingerprint words."`
	Rotate   caRotateCommand   `cmd:"" help:"Let the next authority sign; the one before stays trusted until it runs out."`
	Revoke   caRevokeCommand   `cmd:"" help:"Revoke a certificate, an orphan or a whole authority, for good."`
	Publish  caPublishCommand  `cmd:"" help:"Make the CRLs that are due now, and write all of them to a folder if you like."`
}

// certificateAuthorities is the service as every command has it.
func (g *ground) certificateAuthorities(cache *apply.Cache) *certify.Service {
	return &certify.Service{
		Store: sqlstore.For[certify.Tx](g.store), Clock: g.clock, KeyAt: hsm.Open(g.conf.Keys.Module, g.conf.Keys.PIN), Ended: renewal.EndSessions(g.clock),
		Realm: func(id string) (directory.Realm, error) {
			r, err := cache.Realm(id)
			if err != nil {
				return directory.Realm{}, err
			}
			return r.Realm, nil
		},
	}
}

type caRequestCommand struct {
	Realm string `required:"" help:"Id of the realm."`
	Out   string `required:"" type:"path" help:"File for the request (PKCS #10, PEM)."`
	KeyAt string `name:"key-at" help:"The key is elsewhere: pkcs11:token=…;object=… (RFC 7512). Else it is made here and sealed in the database."`
}

// Run asks.
func (cmd caRequestCommand) Run(c *call) error {
	h, closeAll, err := c.inRealm(cmd.Realm)
	if err != nil {
		return err
	}
	defer closeAll()
	if _, err := os.Lstat(cmd.Out); err == nil {
		return fmt.Errorf("%s is there already", cmd.Out)
	}
	a, request, err := h.certs.Ask(c.ctx, cmd.Realm, cmd.KeyAt)
	if err != nil {
		return err
	}
	if err := fresh(cmd.Out, pki.PEM("CERTIFICATE REQUEST", request)); err != nil {
		return err
	}
	c.say("%s\nSHA-256 of the key %s\nHave it signed by the root (doorward ca sign, or your own), then: doorward ca import --realm %s", a.Name, a.SPKI, cmd.Realm)
	return c.print(map[string]string{"id": a.ID, "name": a.Name, "key_sha256": a.SPKI, "request": cmd.Out})
}

type caImportCommand struct {
	Realm       string `required:"" help:"Id of the realm."`
	Certificate string `required:"" type:"path" help:"The issuing authority's certificate."`
	Root        string `required:"" type:"path" help:"Its root's certificate."`
}

// Run imports, and makes the first CRL and responder at once.
func (cmd caImportCommand) Run(c *call) error {
	cert, err := readCertificate(cmd.Certificate)
	if err != nil {
		return err
	}
	root, err := readCertificate(cmd.Root)
	if err != nil {
		return err
	}
	h, closeAll, err := c.inRealm(cmd.Realm)
	if err != nil {
		return err
	}
	defer closeAll()
	a, err := h.certs.Import(c.ctx, cmd.Realm, cert, root)
	if err != nil {
		return err
	}
	if err := h.certs.Publish(c.ctx, cmd.Realm); err != nil {
		return err
	}
	if a.State == pki.Signs {
		c.say("%s signs until %s.", a.Name, a.NotAfter.Format(time.DateOnly))
	} else {
		c.say("%s is published until doorward ca rotate --realm %s lets it sign. Wait a day, so that everybody who keeps a list has it.", a.Name, cmd.Realm)
	}
	return c.print(map[string]string{"id": a.ID, "state": string(a.State)})
}

// shown is an authority or a certificate as a script reads it.
type shown struct {
	ID       string    `json:"id"`
	Class    pki.Class `json:"class,omitempty"`
	Name     string    `json:"name"`
	State    pki.State `json:"state"`
	Person   string    `json:"person,omitempty"`
	Serial   string    `json:"serial,omitempty"`
	Key      string    `json:"key_sha256"`
	SHA256   string    `json:"sha256"`
	Words    []string  `json:"words,omitempty"`
	Until    time.Time `json:"until"`
	KeyAt    string    `json:"key_at,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	Replaces string    `json:"replaces,omitempty"`
}

func wordsOf(der []byte) []string {
	if len(der) == 0 {
		return nil
	}
	return pki.Words(der)
}

type caListCommand struct {
	Realm string `required:"" help:"Id of the realm."`
}

// Run lists.
func (cmd caListCommand) Run(c *call) error {
	h, closeAll, err := c.inRealm(cmd.Realm)
	if err != nil {
		return err
	}
	defer closeAll()
	all, err := h.certs.Authorities(c.ctx, cmd.Realm)
	if err != nil {
		return err
	}
	list := []shown{}
	for _, a := range all {
		where := a.KeyAt
		if len(a.Private) > 0 {
			where = "sealed"
		}
		list = append(list, shown{ID: a.ID, Class: a.Class, Name: a.Name, State: a.State, Key: a.SPKI, SHA256: a.SHA256, Words: wordsOf(a.DER), Until: a.NotAfter, KeyAt: where, Reason: a.Reason})
		c.say("%s  %-9s %-9s %s  key %-8s %s", a.ID, a.Class, a.State, a.NotAfter.Format(time.DateOnly), where, a.Name)
	}
	if len(all) == 0 {
		c.say("No authority yet: docs/pki.md says how to begin.")
	}
	return c.print(list)
}

type caInspectCommand struct {
	Realm       string `required:"" help:"Id of the realm."`
	Certificate string `help:"Id of a certificate; without it, what was never finished is listed."`
}

// Run shows a certificate, or the orphans of the realm.
func (cmd caInspectCommand) Run(c *call) error {
	h, closeAll, err := c.inRealm(cmd.Realm)
	if err != nil {
		return err
	}
	defer closeAll()
	found, err := h.certs.Orphans(c.ctx, cmd.Realm)
	if cmd.Certificate != "" {
		found = make([]pki.Certificate, 1)
		err = h.store.Read(c.ctx, func(tx *sqlstore.Tx) (err error) {
			found[0], err = tx.Certificate(cmd.Realm, cmd.Certificate)
			return err
		})
	}
	if err != nil {
		return err
	}
	list := []shown{}
	for _, k := range found {
		list = append(list, shown{
			ID: k.ID, Name: k.Name, State: k.Standing(c.clock()), Person: k.Person, Serial: k.Serial, Key: k.Key, SHA256: k.SHA256, Words: wordsOf(k.DER),
			Until: k.NotAfter, Reason: k.Reason, Replaces: k.Replaces,
		})
		c.say("%s  %-9s %s  serial %s  person %s  %s", k.ID, k.Standing(c.clock()), k.NotAfter.Format(time.DateOnly), k.Serial, k.Person, k.Name)
		if len(k.DER) > 0 {
			c.say("%s", spokenAs(k.DER))
		}
	}
	if cmd.Certificate == "" {
		c.say("%d rows without a certificate: doorward ca revoke --certificate ID closes one.", len(list))
	}
	return c.print(list)
}

type caRotateCommand struct {
	Realm string `required:"" help:"Id of the realm."`
}

// Run rotates.
func (cmd caRotateCommand) Run(c *call) error {
	h, closeAll, err := c.inRealm(cmd.Realm)
	if err != nil {
		return err
	}
	defer closeAll()
	a, err := h.certs.Rotate(c.ctx, cmd.Realm)
	if err != nil {
		return err
	}
	c.say("%s signs from now on.", a.Name)
	return c.print(map[string]string{"id": a.ID})
}

type caRevokeCommand struct {
	Realm       string `required:"" help:"Id of the realm."`
	Certificate string `xor:"what" required:"" help:"Id of a certificate or an orphan."`
	Authority   string `xor:"what" required:"" help:"Id of an authority: whatever it signed is accepted nowhere from then on."`
	Reason      string `default:"unspecified" enum:"unspecified,key-compromise,ca-compromise,affiliation-changed,superseded,cessation" help:"Why, as CRLs say it."`
}

// Run revokes. Servers notice within a second.
func (cmd caRevokeCommand) Run(c *call) error {
	h, closeAll, err := c.inRealm(cmd.Realm)
	if err != nil {
		return err
	}
	defer closeAll()
	if cmd.Authority != "" {
		err = h.certs.RevokeAuthority(c.ctx, cmd.Realm, cmd.Authority, cmd.Reason)
	} else {
		err = h.certs.Revoke(c.ctx, certify.Changed{Realm: cmd.Realm, ID: cmd.Certificate, Reason: cmd.Reason, By: certify.Operator})
	}
	if err != nil {
		return err
	}
	c.say("Revoked.")
	return c.print(map[string]bool{"revoked": true})
}

type caPublishCommand struct {
	Realm string `required:"" help:"Id of the realm."`
	Dir   string `type:"path" help:"Folder for the certificates and CRLs, for a server of your own; files are replaced."`
}

// Run makes what is due and writes it where it is wanted.
func (cmd caPublishCommand) Run(c *call) error {
	h, closeAll, err := c.inRealm(cmd.Realm)
	if err != nil {
		return err
	}
	defer closeAll()
	if err := h.certs.Publish(c.ctx, cmd.Realm); err != nil {
		return err
	}
	all, err := h.certs.Authorities(c.ctx, cmd.Realm)
	if err != nil {
		return err
	}
	files := map[string][]byte{}
	for _, a := range all {
		if a.Class == pki.Responder || len(a.DER) == 0 {
			continue
		}
		files[a.ID+".crt"] = a.DER
		for part := range a.Parts {
			if l, err := h.certs.CRL(c.ctx, cmd.Realm, a.ID, part); err == nil {
				files[a.ID+"-"+strconv.Itoa(part)+".crl"] = l.DER
			}
		}
	}
	if cmd.Dir != "" {
		if err := os.MkdirAll(cmd.Dir, 0o755); err != nil {
			return err
		}
		for name, content := range files {
			next := filepath.Join(cmd.Dir, "."+name)
			if err := errors.Join(os.WriteFile(next, content, 0o644), os.Rename(next, filepath.Join(cmd.Dir, name))); err != nil {
				return err
			}
		}
	}
	c.say("%d certificates and CRLs are published.", len(files))
	return c.print(map[string]int{"files": len(files)})
}

// publish makes the CRLs and responders that are due in all realms. What fails in one does not keep the others from theirs.
// watch lets the metrics say how the realms' authorities stand. What cannot be read is not said.
func (h *house) watch() {
	ask := func(value func(end, oldest time.Time) time.Duration) func() map[string]float64 {
		return func() map[string]float64 {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			out := map[string]float64{}
			for _, id := range h.realmIDs() {
				if end, oldest, err := h.certs.Horizon(ctx, id); err == nil && !end.IsZero() {
					out[id] = value(end, oldest).Seconds()
				}
			}
			return out
		}
	}
	h.metrics.Measure("authority_left_seconds", ask(func(end, _ time.Time) time.Duration { return end.Sub(h.clock()) }))
	h.metrics.Measure("crl_age_seconds", ask(func(_, oldest time.Time) time.Duration {
		if oldest.IsZero() {
			return 0
		}
		return h.clock().Sub(oldest)
	}))
}

// renew writes reminders about certificates that end soon, and ends certificates that never reached their owner. What fails for one realm
// keeps no other waiting.
func (h *house) renew(ctx context.Context, _ time.Time) error {
	var failed []error
	for _, r := range h.cache.All() {
		failed = append(failed, h.renewals.Remind(ctx, *r), h.renewals.Tidy(ctx, r.ID), h.parcels.Tidy(ctx, r.ID))
	}
	return errors.Join(failed...)
}

func (h *house) publish(ctx context.Context, _ time.Time) error {
	var failed []error
	for _, id := range h.realmIDs() {
		failed = append(failed, h.certs.Publish(ctx, id))
	}
	return errors.Join(failed...)
}
