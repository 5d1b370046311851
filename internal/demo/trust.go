package demo

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Answers returns when the demo has answered on its start page, under a certificate of its CA.
func Answers(ctx context.Context, address, caFile string) error {
	ca, err := os.ReadFile(caFile)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return fmt.Errorf("%s holds no certificate", caFile)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: TourHost, MinVersion: tls.VersionTLS13}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, "https://"+address+"/", nil)
	if err != nil {
		return err
	}
	r.Host = TourHost
	res, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("the demo does not answer: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the demo's start page answers %s", res.Status)
	}
	return nil
}

const trustName = "Doorward demo CA"

// Trust puts the CA into the trust stores of this user that it finds, never the machine's, and returns lines that say
// what was done and how to do it, and undo it, by hand.
func Trust(ctx context.Context, caFile string, environ []string) []string {
	home := ""
	for _, pair := range environ {
		if value, ok := strings.CutPrefix(pair, "HOME="); ok {
			home = value
		}
	}
	var lines []string
	for _, s := range stores(runtime.GOOS, home, caFile) {
		if out, err := s.put(ctx); err != nil {
			lines = append(lines, fmt.Sprintf("Not done for %s (%v%s). By hand:\n  %s", s.name, err, firstLine(out), s.text()))
		} else {
			lines = append(lines, fmt.Sprintf("%s trusts the demo's CA now. Undo it with:\n  %s", s.name, s.undo))
		}
	}
	return append(lines, "In any browser: Settings, Certificates, Authorities, Import "+caFile+" for websites. It can speak for names below .localhost only.")
}

// store is a trust store of one user and the command that puts a CA into it.
type store struct {
	name string
	dir  string // of an NSS store, made first when it is missing; empty for none
	args []string
	undo string
}

func (s store) text() string { return strings.Join(s.args, " ") }

func (s store) put(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if s.dir != "" {
		if err := os.MkdirAll(s.dir, 0o700); err != nil {
			return nil, err
		}
		if _, err := os.Stat(filepath.Join(s.dir, "cert9.db")); os.IsNotExist(err) {
			if out, err := exec.CommandContext(ctx, s.args[0], "-d", "sql:"+s.dir, "-N", "--empty-password").CombinedOutput(); err != nil {
				return out, err
			}
		}
	}
	return exec.CommandContext(ctx, s.args[0], s.args[1:]...).CombinedOutput()
}

func firstLine(out []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if line == "" {
		return ""
	}
	return ": " + line
}

// stores lists the stores of a user on a system.
func stores(system, home, caFile string) []store {
	switch system {
	case "darwin":
		return []store{{
			name: "The login keychain", args: []string{"security", "add-trusted-cert", "-r", "trustRoot", "-p", "ssl", "-k", filepath.Join(home, "Library/Keychains/login.keychain-db"), caFile},
			undo: "security delete-certificate -c '" + trustName + ", this directory only'",
		}}
	case "windows":
		return []store{{
			name: "The user's certificate store", args: []string{"certutil", "-user", "-addstore", "Root", caFile},
			undo: `certutil -user -delstore Root "` + trustName + `, this directory only"`,
		}}
	}
	if home == "" {
		return nil
	}
	shared := filepath.Join(home, ".pki", "nssdb")
	dirs := map[string]string{shared: "Chromium and Chrome"}
	order := []string{shared}
	for _, pattern := range []string{".mozilla/firefox/*/cert9.db", "snap/firefox/common/.mozilla/firefox/*/cert9.db"} {
		found, _ := filepath.Glob(filepath.Join(home, pattern)) // the pattern is well-formed
		for _, f := range found {
			dirs[filepath.Dir(f)] = "Firefox (" + filepath.Base(filepath.Dir(f)) + ")"
			order = append(order, filepath.Dir(f))
		}
	}
	var all []store
	for _, dir := range order {
		all = append(all, store{
			name: dirs[dir], dir: dir,
			args: []string{"certutil", "-d", "sql:" + dir, "-A", "-t", "C,,", "-n", trustName, "-i", caFile},
			undo: "certutil -d sql:" + dir + " -D -n '" + trustName + "'",
		})
	}
	return all
}
