// Package demo is what `doorward demo` has beside the product: people who live in both realms, a start page that says what
// to try, and a mailbox. Nothing here is part of a real installation.
//
// The rules:
//
//   - People come in the way people come in: they are invited, follow their link, set up, sign in, accept the terms; or show a
//     certificate and make a call. The demo holds no back door that the product does not have.
//   - Passwords and seeds are random for each directory. They stand in files of their owner alone, and on the start page,
//     which answers on this machine only.
//   - A directory is whole or it is begun anew: a start that was cut off while people were being made leaves a mark.
package demo

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"doorward/internal/directory"
)

// Person is somebody in the demo, with everything they know and have. It is an entry of demo.json.
type Person struct {
	Realm        string `json:"realm"`
	Organization string `json:"organization"`
	Email        string `json:"email"`
	Name         string `json:"name"`
	Role         string `json:"role"`  // as in Roles
	State        string `json:"state"` // "active" or "invited"
	Password     string `json:"password,omitempty"`
	TOTPSecret   string `json:"totp_secret,omitempty"` // base32 without blanks

	Certificate         string `json:"certificate,omitempty"`      // what became of it: "valid", "mailed", "expired", "revoked"; empty without one
	CertificateFile     string `json:"certificate_file,omitempty"` // PKCS #12, in the directory
	CertificatePassword string `json:"certificate_password,omitempty"`
}

// Roles are the words of demo.json for roles.
var Roles = map[string]directory.Role{
	"customer administrator": directory.Administrator, "member": directory.Member,
	"agent": directory.Agent, "supervisor": directory.Supervisor, "owner": directory.Owner,
}

// cast is everybody, realm by realm. Staff belong to the operator's organization.
var cast = []Person{
	{Realm: "shop", Organization: "Alder Joinery", Email: "mara.keller@alder.example", Name: "Mara Keller", Role: "customer administrator", State: "active"},
	{Realm: "shop", Organization: "Alder Joinery", Email: "jonas.weber@alder.example", Name: "Jonas Weber", Role: "member", State: "active"},
	{Realm: "shop", Organization: "Alder Joinery", Email: "lea.rossi@alder.example", Name: "Lea Rossi", Role: "member", State: "invited"},
	{Realm: "shop", Email: "nina.frei@northline.example", Name: "Nina Frei", Role: "agent", State: "active"},
	{Realm: "shop", Email: "tom.berger@northline.example", Name: "Tom Berger", Role: "supervisor", State: "active"},
	{Realm: "shop", Email: "eva.lang@northline.example", Name: "Eva Lang", Role: "owner", State: "active"},
	{Realm: "wealth", Organization: "Family Moser", Email: "anna.moser@moser.example", Name: "Anna Moser", Role: "customer administrator", State: "active", Certificate: held},
	{Realm: "wealth", Organization: "Family Moser", Email: "paul.moser@moser.example", Name: "Paul Moser", Role: "member", State: "active", Certificate: held},
	{Realm: "wealth", Organization: "Family Moser", Email: "sofia.moser@moser.example", Name: "Sofia Moser", Role: "member", State: "invited", Certificate: mailed},
	{Realm: "wealth", Organization: "Family Moser", Email: "emil.moser@moser.example", Name: "Emil Moser", Role: "member", State: "active", Certificate: ranOut},
	{Realm: "wealth", Organization: "Family Moser", Email: "rosa.moser@moser.example", Name: "Rosa Moser", Role: "member", State: "active", Certificate: revoked},
	{Realm: "wealth", Email: "luca.graf@meridian.example", Name: "Luca Graf", Role: "agent", State: "active"},
	{Realm: "wealth", Email: "ines.roth@meridian.example", Name: "Ines Roth", Role: "supervisor", State: "active"},
	{Realm: "wealth", Email: "karl.stein@meridian.example", Name: "Karl Stein", Role: "owner", State: "active"},
}

// Files of a demo directory.
const (
	peopleFile = "people.json" // what only this directory knows about its people
	markFile   = "people.begun"
	demoFile   = "demo.json"
)

// Load reads the people of a directory that was used before; ok is false for a new one. A directory in which making
// them was cut off is cleared of what was begun, and is new again.
func Load(dir string) (people []Person, ok bool, err error) {
	if _, err := os.Stat(filepath.Join(dir, markFile)); err == nil {
		return nil, false, clear(dir)
	}
	b, err := os.ReadFile(filepath.Join(dir, peopleFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	err = json.Unmarshal(b, &people)
	return people, err == nil, err
}

// clear removes what a start that was cut off has begun: the database, its mails, the people, their certificates. The CA stays, since
// somebody may have trusted it.
func clear(dir string) error {
	for _, name := range []string{Database, Database + "-wal", Database + "-shm", Anchor, peopleFile} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, name := range []string{MailDir, CertificateDir} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return os.Remove(filepath.Join(dir, markFile))
}

// Names in a demo directory.
const (
	Database = "doorward.db"
	Keys     = "keyring"
	MailDir  = "mail"
	Anchor   = "anchor" // signed checkpoints of the audit trail
)

// Begin marks a directory before people are made in it; End writes them down and takes the mark away.
func Begin(dir string) error { return os.WriteFile(filepath.Join(dir, markFile), nil, 0o600) }

// End writes the people down.
func End(dir string, people []Person) error {
	if err := writeJSON(filepath.Join(dir, peopleFile), people); err != nil {
		return err
	}
	return os.Remove(filepath.Join(dir, markFile))
}

// Sheet is demo.json: what scripts read.
type Sheet struct {
	CAFile  string                       `json:"ca_file"`
	MailDir string                       `json:"mail_dir"`
	Tour    string                       `json:"tour"`
	Mailbox string                       `json:"mailbox"`
	Ready   string                       `json:"operations"`
	Realms  map[string]SheetRealm        `json:"realms"`
	Parties map[string]map[string]string `json:"relying_parties"`
	People  []Person                     `json:"people"`
}

// SheetRealm is one realm of demo.json.
type SheetRealm struct {
	URL            string `json:"url"`
	CertificateURL string `json:"certificate_url,omitempty"` // where browsers show certificates; empty where the policy asks for none
	Issuer         string `json:"issuer"`
}

// Remove takes demo.json away: whoever waits for it must not read the one of the last start.
func Remove(dir string) error {
	err := os.Remove(filepath.Join(dir, demoFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Write writes demo.json, whole at every moment.
func (s Sheet) Write(dir string) error { return writeJSON(filepath.Join(dir, demoFile), s) }

// writeJSON writes a file of its owner alone, whole when it is visible under its name.
func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".json-*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
