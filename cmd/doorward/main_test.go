package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"doorward/internal/testdb"
	"doorward/internal/tomlfile"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"doorward": main, "doorward-on-time": onTime})
}

// Every script runs on both databases; $DATABASE is the address of an empty one.
func TestCommandLine(t *testing.T) {
	for name, address := range map[string]func(testing.TB) string{"sqlite": testdb.SQLiteAddress, "postgres": testdb.PostgresAddress} {
		t.Run(name, func(t *testing.T) {
			testscript.Run(t, testscript.Params{
				Dir: filepath.Join("testdata", "script"),
				Setup: func(e *testscript.Env) error {
					e.Setenv("DATABASE", address(t))
					e.Setenv("DOORWARD_DATABASE_ADDRESS", e.Getenv("DATABASE"))
					for _, realm := range []string{"shop", "wealth"} {
						text, err := os.ReadFile(filepath.Join("..", "..", "realms", realm+".toml"))
						if err != nil {
							return err
						}
						if err := os.WriteFile(filepath.Join(e.WorkDir, realm+".toml"), text, 0o600); err != nil {
							return err
						}
					}
					return nil
				},
				Cmds: map[string]func(*testscript.TestScript, bool, []string){"mode": mode, "waitfor": waitfor, "edit": edit},
			})
		})
	}
}

// mode FILE MODE: the permissions of a file are those.
func mode(ts *testscript.TestScript, neg bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := info.Mode().Perm().String(); (got == args[1]) == neg {
		ts.Fatalf("%s has mode %s", args[0], got)
	}
}

// waitfor FILE: until it is there.
func waitfor(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s never comes", args[0])
		}
	}
}

// edit FILE OLD NEW: replace a text that must be there.
func edit(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s does not say %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Replace(text, args[1], args[2], 1)), 0o600))
}

// The configuration stays small, and the first one shows every key.
func TestEveryKeyStandsInTheFirstConfiguration(t *testing.T) {
	all := tomlfile.Keys(config{})
	if len(all) >= 40 {
		t.Errorf("%d keys: fewer than 40 were promised", len(all))
	}
	section := ""
	var shown []string
	for line := range strings.Lines(firstConfig) {
		line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "# "))
		if name, ok := strings.CutPrefix(line, "["); ok {
			section = name[:strings.Index(name, "]")]
		} else if key, _, ok := strings.Cut(line, " = "); ok && !strings.Contains(key, " ") {
			shown = append(shown, section+"."+key)
		}
	}
	slices.Sort(all)
	slices.Sort(shown)
	if !slices.Equal(all, shown) {
		t.Errorf("keys:\n%q\nshown:\n%q", all, shown)
	}
	var c config
	text := strings.ReplaceAll(firstConfig, "\n# ", "\n")
	text = strings.Replace(text, "Configuration of one", "# Configuration of one", 1)
	text = strings.Replace(text, "\nPaths are", "\n# Paths are", 1)
	if err := tomlfile.Read("first", []byte(text), &c).Err(); err != nil {
		t.Errorf("with every comment taken away: %v", err)
	}
}

// Nothing a command prints for people goes to the output of --json, and wrong use is told on one line.
func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--help"}, done, ""}, {[]string{"version"}, done, ""}, {[]string{"frobnicate"}, misuse, "frobnicate"}, {nil, misuse, "expected one of"},
		{[]string{"apply"}, misuse, "<file>"}, {[]string{"serve", "--config", "/nowhere/doorward.toml"}, failed, "doorward init"},
		{[]string{"demo", "--listen", "0.0.0.0:1"}, misuse, "this machine alone"}, {[]string{"demo", "--listen", "x"}, misuse, "--listen"},
	} {
		var out, errs bytes.Buffer
		code := run(t.Context(), world{args: c.args, out: &out, errs: &errs, clock: time.Now})
		last := strings.TrimSpace(errs.String()[strings.LastIndex(strings.TrimSpace(errs.String()), "\n")+1:])
		if code != c.code || !strings.Contains(last, c.says) {
			t.Errorf("%q: %d, %q", c.args, code, errs.String())
		}
	}
}
