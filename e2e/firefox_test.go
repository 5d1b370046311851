//go:build firefox

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"doorward/internal/web/catalog"
)

// firefox is one Firefox with its own profile and certificate store, driven over its Marionette protocol: each message is
// its length, a colon and a JSON array.
type firefox struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
	id   int
}

// stays are the settings of a browser that chooses a certificate by itself and asks nobody but this machine.
const stays = `user_pref("marionette.port", 0);
user_pref("security.default_personal_cert", "Select Automatically");
user_pref("intl.accept_languages", "de");
user_pref("network.proxy.type", 1);
user_pref("network.proxy.http", "127.0.0.1");
user_pref("network.proxy.http_port", 9);
user_pref("network.proxy.ssl", "127.0.0.1");
user_pref("network.proxy.ssl_port", 9);
user_pref("network.proxy.no_proxies_on", "localhost, .localhost, 127.0.0.1");
user_pref("app.update.disabledForTesting", true);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
`

// openFirefox starts Firefox on a device with certificates, none or more. It ends with the test.
func openFirefox(t testing.TB, certificates []keyFile, ca string) *firefox {
	t.Helper()
	home := t.TempDir()
	profile := filepath.Join(home, "profile")
	if err := os.Mkdir(profile, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(stays), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, nil, "certutil", "-N", "-d", "sql:"+profile, "--empty-password")
	command(t, nil, "certutil", "-A", "-d", "sql:"+profile, "-n", "demo", "-t", "C,,", "-i", ca)
	for _, c := range certificates {
		command(t, nil, "pk12util", "-i", c.path, "-d", "sql:"+profile, "-W", c.password, "-K", "")
	}
	cmd := exec.Command("firefox-esr", "--headless", "--marionette", "--no-remote", "--profile", profile)
	cmd.Env = append(os.Environ(), "HOME="+home, "MOZ_HEADLESS=1", "MOZ_CRASHREPORTER_DISABLE=1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	var port []byte
	within(t, "Firefox", func() bool {
		var err error
		port, err = os.ReadFile(filepath.Join(profile, "MarionetteActivePort"))
		return err == nil && len(port) > 0
	})
	conn, err := net.Dial("tcp", "127.0.0.1:"+string(bytes.TrimSpace(port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	f := &firefox{t: t, conn: conn, in: bufio.NewReader(conn)}
	f.read() // who speaks there
	f.call("WebDriver:NewSession", map[string]any{})
	return f
}

// read returns the next message.
func (f *firefox) read() []byte {
	f.t.Helper()
	if err := f.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		f.t.Fatal(err)
	}
	head, err := f.in.ReadString(':')
	if err != nil {
		f.t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSuffix(head, ":"))
	if err != nil {
		f.t.Fatal(err)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(f.in, body); err != nil {
		f.t.Fatal(err)
	}
	return body
}

// call asks for something and returns the value of the answer.
func (f *firefox) call(command string, with map[string]any) json.RawMessage {
	f.t.Helper()
	f.id++
	body, err := json.Marshal([]any{0, f.id, command, with})
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(f.conn, "%d:%s", len(body), body); err != nil {
		f.t.Fatal(err)
	}
	var answer [4]json.RawMessage
	if err := json.Unmarshal(f.read(), &answer); err != nil {
		f.t.Fatal(err)
	}
	if string(answer[2]) != "null" {
		f.t.Fatalf("%s %v: %s", command, with, answer[2])
	}
	var value struct{ Value json.RawMessage }
	_ = json.Unmarshal(answer[3], &value) // some answers are no object
	return value.Value
}

func (f *firefox) open(address string) {
	f.t.Helper()
	f.call("WebDriver:Navigate", map[string]any{"url": address})
}

// run runs a script in the page and returns what it says.
func (f *firefox) run(js string) (said string) {
	f.t.Helper()
	raw := f.call("WebDriver:ExecuteScript", map[string]any{"script": js, "args": []any{}})
	if err := json.Unmarshal(raw, &said); err != nil {
		f.t.Fatalf("%s says %s", js, raw)
	}
	return said
}

// submit presses the main button of the step, typed into it before, and waits for the next page.
func (f *firefox) submit(typed ...string) {
	f.t.Helper()
	for i := 0; i+1 < len(typed); i += 2 {
		f.run(fmt.Sprintf(`const field = document.querySelector('main form [autocomplete~="%s"]'); field.value = %q; return ''`, typed[i], typed[i+1]))
	}
	f.run(`window.left = true; document.querySelector('main form[method=post] button:not([type=button])').click(); return ''`)
	within(f.t, "the page after "+f.run("return location.href"), func() bool {
		return f.run(`return window.left || document.readyState !== 'complete' ? '' : 'there'`) != ""
	})
}

// says fails unless the heading is that of the catalogue.
func (f *firefox) says(key string) {
	f.t.Helper()
	want, ok := catalog.Find("de", key, 1)
	if got := f.run(`return document.querySelector('h1').innerText`); !ok || got != want {
		f.t.Fatalf("%q at %s, want %q: %s", got, f.run("return location.href"), want, f.run(`return document.querySelector('main').innerText`))
	}
}

// Firefox keeps its own certificates: without one its owner is told where it keeps them, with a revoked one that it was
// revoked, and with the right one they come in.
func TestREQ_A8_A20_A21_A22_CertificatesInFirefox(t *testing.T) {
	d := startDemo(t)
	named := func(address string) person {
		for _, p := range d.People {
			if p.Email == address {
				return p
			}
		}
		t.Fatalf("the demo has no %s", address)
		return person{}
	}
	begins := func(p person, devices ...keyFile) *firefox {
		f := openFirefox(t, devices, d.path(d.CAFile))
		f.open(d.Realms["wealth"].URL + "/signin")
		f.submit("username", p.Email)
		f.submit() // to the host for certificates, and back
		return f
	}
	device := func(p person) keyFile { return keyFile{d.path(p.CertificateFile), p.CertificatePassword} }
	anna, rosa, emil := named("anna.moser@moser.example"), named("rosa.moser@moser.example"), named("emil.moser@moser.example")

	f := begins(anna)
	f.says("signin.diagnosis.none.title")
	if text := f.run(`return document.querySelector('main').innerText`); !strings.Contains(text, "Firefox") {
		t.Errorf("nothing about this browser: %s", text)
	}
	begins(rosa, device(rosa)).says("signin.diagnosis.revoked.title")
	begins(emil, device(emil)).says("signin.diagnosis.none.title") // one that ran out is not offered
	f = begins(anna, device(anna))
	f.submit("current-password", anna.Password)
	f.submit("one-time-code", code(t, anna.TOTP, time.Now()))
	if at := f.run("return location.pathname"); at != "/account" {
		t.Fatalf("with certificate, password and code %s comes to %s: %s", anna.Name, at, f.run(`return document.querySelector('main').innerText`))
	}
}
