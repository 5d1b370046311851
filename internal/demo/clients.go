package demo

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"doorward/internal/activation"
	"doorward/internal/authn"
	"doorward/internal/calls"
	"doorward/internal/certhost"
	"doorward/internal/certify"
	"doorward/internal/fault"
	"doorward/internal/handover"
	"doorward/internal/helpdesk"
	"doorward/internal/keyfile"
	"doorward/internal/login"
	"doorward/internal/pki"
)

// Clients of the wealth realm come in as its policy says: a supervisor issues the certificate, its file goes by mail and its
// password by the contact, who is the owner here; then a call, which the agent takes.

// CertificateDir holds the files of certificates, in a demo directory.
const CertificateDir = "certificates"

// What became of a client's certificate, in demo.json.
const (
	held    = "valid"
	mailed  = "mailed" // its file waits behind a link in the mailbox
	ranOut  = "expired"
	revoked = "revoked"
)

// Certificates is what the demo needs to make clients with certificates.
type Certificates struct {
	Issuer *certify.Service
	Files  *handover.Service
	Brief  *handover.Service // of certificates that hold for one day
	Hosts  *certhost.Service
	Calls  *calls.Desk
}

// target is the system that the demo runs on: its browsers take the files.
func target() keyfile.Target {
	switch runtime.GOOS {
	case "windows":
		return keyfile.Windows
	case "darwin":
		return keyfile.MacOS
	}
	return keyfile.Linux
}

// found makes the authority that signs the clients' certificates. Its root is used once; nobody keeps the key.
func (m *Maker) found(ctx context.Context, realm *login.Realm) error {
	key, _, err := pki.NewKey(pki.Root)
	if err != nil {
		return err
	}
	der, err := pki.MakeRoot(key, realm.Name+" devices root", realm.Operator, m.Clock.Now())
	if err != nil {
		return err
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	_, err = m.Certificates.Issuer.Found(ctx, realm.ID, root, key)
	return err
}

// desk are the three of the operator's people who have to do with a client.
type desk struct{ issues, contact, takesCalls login.By }

// sit finds them among those who came in.
func (m *Maker) sit(ctx context.Context, all []*somebody) (d desk, err error) {
	by := map[string]*login.By{"supervisor": &d.issues, "owner": &d.contact, "agent": &d.takesCalls}
	for _, s := range all {
		to := by[s.Role]
		if to == nil || s.Realm != clientRealm {
			continue
		}
		err := m.Store.Read(ctx, func(tx Tx) (err error) {
			if to.Person, err = tx.Person(s.Realm, s.id); err != nil {
				return err
			}
			to.Organization, err = tx.Organization(s.Realm, to.Person.Organization)
			return err
		})
		if err != nil {
			return d, err
		}
		to.Realm, to.Network, to.Agent = s.realm, s.caller.Network, s.caller.Agent
	}
	return d, nil
}

// send issues a certificate for a device of a client and mails the link to its file.
func (m *Maker) send(ctx context.Context, s *somebody, d desk) (err error) {
	service := m.Certificates.Files
	if s.Certificate == ranOut {
		service = m.Certificates.Brief
	}
	s.parcel, err = service.Send(ctx, d.issues, handover.Order{
		Person: s.id, Device: s.device, Target: target(), Contact: d.contact.Person.ID, Reason: "The client's first device",
	})
	return err
}

// open reads the clients' mail, as they do: the link to the file stands nowhere else.
func (m *Maker) open(ctx context.Context, all []*somebody) error {
	return m.Store.Write(ctx, func(tx Tx) error {
		sent, err := tx.ClaimMail(m.Clock.Now(), time.Minute, 1000)
		for _, one := range sent {
			for _, s := range all {
				if s.id == one.Person && one.Template == "certificate-file" {
					s.link = one.Args["link"]
				}
			}
		}
		return err
	})
}

// become walks a client through everything: the file and its password, the certificate, the call, the certificate once more,
// an authenticator, a password, the terms.
func (m *Maker) become(ctx context.Context, s *somebody, d desk) error {
	file, _, err := m.Certificates.Files.Fetch(ctx, s.caller, path.Base(s.link))
	if err != nil {
		return err
	}
	said, _, err := m.Certificates.Files.Say(ctx, d.contact, s.parcel.ID)
	if err != nil {
		return err
	}
	name, _, _ := strings.Cut(s.Email, "@")
	s.CertificateFile, s.CertificatePassword = path.Join(CertificateDir, name+".p12"), said.Reveal()
	if err := m.keep(s.CertificateFile, file.Bytes); err != nil {
		return err
	}
	var on pki.Certificate
	if err := m.Store.Read(ctx, func(tx Tx) (err error) { on, err = tx.Certificate(s.Realm, s.parcel.Certificate); return err }); err != nil {
		return err
	}
	if s.leaf, err = x509.ParseCertificate(on.DER); err != nil {
		return err
	}
	if s.view, err = m.Login.Begin(ctx, s.caller, login.Start{Address: s.Email}); err != nil {
		return err
	}
	s.caller.Browser = s.view.Browser
	if err := m.arrive(ctx, s, d); err != nil {
		return err
	}
	if s.Certificate != revoked {
		return nil
	}
	return m.Certificates.Issuer.Revoke(ctx, certify.Changed{
		Realm: on.Realm, ID: on.ID, Reason: pki.KeyCompromise, Organization: d.issues.Organization.ID,
		By: certify.Actor{ID: d.issues.Person.ID, Network: d.issues.Network, Browser: d.issues.Agent},
	})
}

// arrive answers the steps until the client is in, and signs out.
func (m *Maker) arrive(ctx context.Context, s *somebody, d desk) error {
	for range 16 {
		var err error
		step := s.view.Step
		switch {
		case s.view.Minted != nil:
			s.caller.Session = s.view.Minted.Cookie
			return m.Login.SignOut(ctx, s.caller)
		case step.Accepts(authn.ActProve, authn.Cert):
			s.view, err = m.show(ctx, s)
		case step.Accepts(authn.ActProve, authn.Call):
			s.view, err = m.talk(ctx, s, d)
		case step.Act == authn.ActBind:
			s.view, err = m.bind(ctx, s)
		case step.Act == authn.ActPerform:
			s.view, err = m.perform(ctx, s)
		default:
			return fmt.Errorf("the way in stops at %+v", step)
		}
		if err != nil {
			return err
		}
	}
	return errors.New("the way in does not end")
}

// show takes the client's browser to the host for certificates and back.
func (m *Maker) show(ctx context.Context, s *somebody) (login.View, error) {
	there, err := m.Certificates.Hosts.Leave(ctx, s.caller, s.view.Flow.ID, 0)
	if err != nil {
		return login.View{}, err
	}
	back, err := m.Certificates.Hosts.Pass(ctx, s.caller, path.Base(there), s.leaf)
	if err != nil {
		return login.View{}, err
	}
	return m.Login.Prove(ctx, s.caller, s.view.Flow.ID, authn.Answer{Kind: authn.Cert, Text: path.Base(back)})
}

// talk is the call: the client reads the code, the agent types it, makes the checks and confirms.
func (m *Maker) talk(ctx context.Context, s *somebody, d desk) (login.View, error) {
	by, id := d.takesCalls, s.view.Call.ID
	if err := m.Certificates.Calls.Open(ctx, by, s.view.Person.ID, id); err != nil {
		return login.View{}, err
	}
	if err := m.Certificates.Calls.Enter(ctx, by, s.view.Person.ID, id, string(s.view.Question.Data)); err != nil {
		return login.View{}, err
	}
	at, err := m.Certificates.Calls.Look(ctx, by, s.view.Person.ID, id)
	if err != nil {
		return login.View{}, err
	}
	if at.State != activation.Matched {
		return login.View{}, fault.New(fault.Conflict, "call-over")
	}
	var checks []helpdesk.Check
	for _, rule := range at.Missing {
		checks = append(checks, helpdesk.Check{Rule: rule, Result: helpdesk.Passed, Note: "Called back at the number in the client's file"})
	}
	if _, err := m.Certificates.Calls.Confirm(ctx, by, s.view.Person.ID, id, at.Version, checks); err != nil {
		return login.View{}, err
	}
	return m.Login.Look(ctx, s.caller, s.view.Flow.ID)
}

// keep writes a file of this directory's owner alone.
func (m *Maker) keep(name string, content []byte) error {
	at := filepath.Join(m.Dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
		return err
	}
	return os.WriteFile(at, content, 0o600)
}
