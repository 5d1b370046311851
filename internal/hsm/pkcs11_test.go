//go:build pkcs11 && cgo

package hsm

import (
	"crypto/elliptic"
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/ThalesGroup/crypto11"

	"doorward/internal/pki"
)

const softHSM = "/usr/lib/softhsm/libsofthsm2.so"

// An authority whose key is in the device signs certificates as one with a key here does.
func TestDevice(t *testing.T) {
	dir := t.TempDir()
	conf, pin := filepath.Join(dir, "softhsm.conf"), filepath.Join(dir, "pin")
	if err := os.Mkdir(filepath.Join(dir, "tokens"), 0o700); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{conf: "directories.tokendir = " + filepath.Join(dir, "tokens") + "\n", pin: "1234\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("SOFTHSM2_CONF", conf)
	if out, err := exec.CommandContext(t.Context(), "softhsm2-util", "--init-token", "--free", "--label", "door", "--pin", "1234", "--so-pin", "5678").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c, err := crypto11.Configure(&crypto11.Config{Path: softHSM, TokenLabel: "door", Pin: "1234"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.GenerateECDSAKeyPairWithLabel([]byte{1}, []byte("issuing"), elliptic.P256()); err != nil {
		t.Fatal(err)
	}
	open := Open(softHSM, pin)
	key, err := open("pkcs11:token=door;object=issuing")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	rootKey, _, err := pki.NewKey(pki.Root)
	if err != nil {
		t.Fatal(err)
	}
	der, err := pki.MakeRoot(rootKey, "Root", "Meridian", now)
	if err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	subject, err := pki.IssuingSubject("Meridian", "Meridian", key.Public(), now)
	if err != nil {
		t.Fatal(err)
	}
	ask, err := pki.AskIssuing(key, subject) // signed in the device
	if err != nil {
		t.Fatal(err)
	}
	request, err := x509.ParseCertificateRequest(ask)
	if err != nil {
		t.Fatal(err)
	}
	if der, err = pki.SignIssuing(request, root, rootKey, now); err != nil {
		t.Fatal(err)
	}
	issuer, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	deviceKey, _, err := pki.NewKey(pki.Issuing)
	if err != nil {
		t.Fatal(err)
	}
	draft, err := pki.Device(pki.Certificate{
		Realm: "wealth", Person: "p", Device: "d", Name: "Laptop", Authority: "a", Serial: pki.NewSerial(), NotBefore: now, NotAfter: now.AddDate(2, 0, 0),
	}, deviceKey.Public(), issuer, "Meridian", pki.PlacesAt("https://login.example.com"))
	if err != nil {
		t.Fatal(err)
	}
	if der, err = draft.Sign(key); err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil || leaf.CheckSignatureFrom(issuer) != nil {
		t.Errorf("the signature of the device: %v", err)
	}
	if _, err := open("pkcs11:token=door;object=other"); err == nil {
		t.Error("a key that is not there")
	}
	if _, err := open("pkcs11:token=other;object=issuing"); err == nil {
		t.Error("a token that is not there")
	}
	if err := os.Chmod(pin, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(softHSM, pin)("pkcs11:token=door;object=issuing"); err == nil {
		t.Error("others may read the PIN")
	}
}
