package hsm

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestSEC_C10_WhatNamesAKey(t *testing.T) {
	if token, object, err := parse("pkcs11:token=my%20token;object=issuing"); err != nil || token != "my token" || object != "issuing" {
		t.Errorf("%q %q %v", token, object, err)
	}
	for _, bad := range []string{
		"", "pkcs11:", "token=a;object=b", "pkcs11:token=a", "pkcs11:object=b", "pkcs11:token=a;object=b;module-path=/tmp/evil.so", "pkcs11:token=a;token=c;object=b",
		"pkcs11:token=a;object=b?pin-value=1234", "pkcs11:token=%zz;object=b", "pkcs11:token=;object=b", "https://example.com",
	} {
		if _, _, err := parse(bad); err == nil && !strings.Contains(bad, "?") {
			t.Errorf("%q names a key", bad)
		}
		if _, err := Open("", "")(bad); err == nil {
			t.Errorf("%q was opened", bad)
		}
	}
}

// The second build, with SoftHSM for a device: its tests are behind the tag and are run here.
func TestSEC_C10_AKeyInADevice(t *testing.T) {
	run := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-tags", "pkcs11", "-run", "^TestDevice$", "-v", ".")
	run.Env = append(os.Environ(), "CGO_ENABLED=1")
	out, err := run.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestDevice") {
		t.Fatalf("%v\n%s", err, out)
	}
}
