package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"doorward/internal/pki"
)

// What is done where the root is: on a machine that is on no network, with files on media that are carried.

// fresh writes a file for its owner alone and overwrites nothing.
func fresh(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

type caInitRootCommand struct {
	Dir          string `required:"" type:"path" help:"Folder for the files; made when it is not there."`
	Name         string `required:"" help:"Name of the root, such as: Meridian devices root."`
	Organization string `required:"" help:"Name of the operator."`
	Hands        int    `default:"2" help:"Into how many hands the key goes: all of them are needed to sign. 1 is one file."`
}

// Run writes root.crt and root-key.pem, or root-key-1.pem and so on.
func (cmd caInitRootCommand) Run(c *call) error {
	key, der, err := pki.NewKey(pki.Root)
	if err != nil {
		return err
	}
	root, err := pki.MakeRoot(key, cmd.Name, cmd.Organization, c.clock())
	if err != nil {
		return err
	}
	files, err := pki.Split(der, root, cmd.Hands)
	if err != nil {
		return usageError("--hands: " + err.Error())
	}
	if err := os.MkdirAll(cmd.Dir, 0o700); err != nil {
		return err
	}
	names := []string{filepath.Join(cmd.Dir, "root.crt")}
	contents := [][]byte{pki.PEM("CERTIFICATE", root)}
	for i, f := range files {
		name := "root-key.pem"
		if len(files) > 1 {
			name = fmt.Sprintf("root-key-%d.pem", i+1)
		}
		names, contents = append(names, filepath.Join(cmd.Dir, name)), append(contents, f)
	}
	for _, name := range names {
		if _, err := os.Lstat(name); err == nil {
			return fmt.Errorf("%s is there already; a root is made once", name)
		}
	}
	for i, name := range names {
		if err := fresh(name, contents[i]); err != nil {
			return err
		}
	}
	c.say("%s\nSHA-256 %s\n%s", names[0], pki.Hash(root), spokenAs(root))
	for i, name := range names[1:] {
		c.say("%s: hand %d of %d; move it to a medium of its own, keep a second copy elsewhere, delete it here", name, i+1, len(files))
	}
	return c.print(map[string]any{"certificate": names[0], "sha256": pki.Hash(root), "words": pki.Words(root), "keys": names[1:]})
}

// spokenAs are the fingerprint words of a certificate.
func spokenAs(der []byte) string { return strings.Join(pki.Words(der), " ") }

type caSignCommand struct {
	Root    string   `required:"" type:"path" help:"The root's certificate."`
	Key     []string `required:"" type:"path" sep:"none" help:"The root's key; once for each hand it is in."`
	Request string   `required:"" type:"path" help:"The request."`
	Out     string   `required:"" type:"path" help:"File for the certificate."`
}

// Run signs. It needs neither configuration nor database.
func (cmd caSignCommand) Run(c *call) error {
	root, err := readCertificate(cmd.Root)
	if err != nil {
		return err
	}
	var hands [][]byte
	for _, path := range cmd.Key {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		hands = append(hands, b)
	}
	der, err := pki.Join(hands, root.Raw)
	if err != nil {
		return err
	}
	key, err := pki.ParseKey(der)
	if err != nil || !pki.Holds(key.Public(), root.PublicKey) {
		return errors.New("the key is not that of " + cmd.Root)
	}
	text, err := os.ReadFile(cmd.Request)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return errors.New(cmd.Request + " is no certificate request in PEM")
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return fmt.Errorf("%s: %w", cmd.Request, err)
	}
	cert, err := pki.SignIssuing(request, root, key, c.clock())
	if err != nil {
		return err
	}
	if err := fresh(cmd.Out, pki.PEM("CERTIFICATE", cert)); err != nil {
		return err
	}
	c.say("%s\nSHA-256 of the key %s: compare it with what `doorward ca request` said\n%s", request.Subject.CommonName, pki.Hash(request.RawSubjectPublicKeyInfo), spokenAs(cert))
	return c.print(map[string]any{"certificate": cmd.Out, "key_sha256": pki.Hash(request.RawSubjectPublicKeyInfo), "sha256": pki.Hash(cert), "words": pki.Words(cert)})
}

func readCertificate(path string) (*x509.Certificate, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	cert, err := pki.ReadCertificate(b)
	if err != nil {
		return nil, errors.New(path + " is no certificate, PEM or DER")
	}
	return cert, nil
}
