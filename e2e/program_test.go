package e2e

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"doorward/internal/rig/walker"
)

// program is the built binary, made once for the whole run.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "doorward-e2e-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "doorward")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/doorward")
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := program(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// within polls until ok says so; it fails the test after a generous time. Nothing outside of the program tells a test
// when a file was written or a page has moved on, so this is the one place that waits by looking again.
func within(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited a minute for %s", what)
		}
	}
}

// pictures reports whether a picture of every sample is asked for (make gallery).
func pictures() bool { return os.Getenv("DOORWARD_PICTURES") != "" }

// person is one row of demo.json.
type person struct {
	Realm, Organization, Email, Name, Role, State, Password string
	TOTP                                                    string `json:"totp_secret"`
	CertificateFile                                         string `json:"certificate_file"`
	CertificatePassword                                     string `json:"certificate_password"`
}

// demo is a running `doorward demo` and what its demo.json says.
type demo struct {
	Dir     string
	CAFile  string `json:"ca_file"`
	MailDir string `json:"mail_dir"`
	Tour    string
	Realms  map[string]struct{ URL, Issuer string }
	People  []person
	Parties map[string]struct {
		URL    string
		Secret string `json:"client_secret"`
	} `json:"relying_parties"`

	roots *x509.CertPool
	cmd   *exec.Cmd
	done  chan struct{}
	log   *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startDemo starts the demo in its own folder on a free port; it ends with the test.
func startDemo(t testing.TB) *demo {
	t.Helper()
	return startDemoIn(t, filepath.Join(t.TempDir(), "demo"))
}

// startDemoIn continues the demo of a folder, or begins it.
func startDemoIn(t testing.TB, dir string) *demo {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "demo.json")
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	d := &demo{Dir: dir, log: new(lockedBuffer), done: make(chan struct{})}
	d.cmd = exec.Command(path, "demo", "--dir", dir, "--listen", "127.0.0.1:0")
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = d.cmd.Wait(); close(d.done) }()
	t.Cleanup(func() {
		d.stop(syscall.SIGTERM)
		if t.Failed() {
			t.Logf("the demo said:\n%s", d.log)
		}
	})
	within(t, "demo.json", func() bool {
		select {
		case <-d.done:
			t.Fatalf("the demo ended:\n%s", d.log)
		default:
		}
		src, err := os.ReadFile(file)
		return err == nil && json.Unmarshal(src, d) == nil
	})
	pem, err := os.ReadFile(d.path(d.CAFile))
	if err != nil {
		t.Fatal(err)
	}
	d.roots = x509.NewCertPool()
	if !d.roots.AppendCertsFromPEM(pem) {
		t.Fatalf("%s holds no certificate", d.CAFile)
	}
	return d
}

// path resolves a file name of demo.json, which is relative to the demo's folder.
func (d *demo) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(d.Dir, name)
}

// stop ends the program with a signal and waits until it is gone.
func (d *demo) stop(s syscall.Signal) {
	_ = d.cmd.Process.Signal(s)
	<-d.done
}

// person finds somebody in the demo by realm, role and state.
func (d *demo) person(t testing.TB, realm, role, state string) person {
	t.Helper()
	for _, p := range d.People {
		if p.Realm == realm && p.Role == role && p.State == state {
			return p
		}
	}
	t.Fatalf("the demo has no %s %s in %s: %+v", state, role, realm, d.People)
	return person{}
}

// walker is a browser without JavaScript for the demo.
func (d *demo) walker() *walker.Client { return walker.New(d.roots, "") }

// letter is one mail of the mailbox.
type letter struct {
	To, From, Subject, Text string
}

var links = regexp.MustCompile(`https://[^\s<>"]+`)

// link is the first link of the text part: the one to follow.
func (l letter) link(t testing.TB) string {
	t.Helper()
	found := links.FindString(l.Text)
	if found == "" {
		t.Fatalf("no link in the mail %q:\n%s", l.Subject, l.Text)
	}
	return strings.TrimRight(found, ".,)")
}

// letters are all mails sent so far, oldest first.
func (d *demo) letters(t testing.TB) []letter {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(d.path(d.MailDir), "*.eml"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	var out []letter
	for _, name := range names {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		l, err := readLetter(src)
		if err != nil {
			t.Fatalf("%s: %v", filepath.Base(name), err)
		}
		out = append(out, l)
	}
	return out
}

// await waits for the newest mail to an address, after the first skip ones to it, and returns it.
func (d *demo) await(t testing.TB, address string, skip int) letter {
	t.Helper()
	var got []letter
	within(t, fmt.Sprintf("mail %d to %s", skip+1, address), func() bool {
		got = d.to(t, address)
		return len(got) > skip
	})
	return got[len(got)-1]
}

// to are the mails to an address, oldest first.
func (d *demo) to(t testing.TB, address string) []letter {
	t.Helper()
	return slices.DeleteFunc(d.letters(t), func(l letter) bool { return !strings.EqualFold(l.To, address) })
}

func readLetter(src []byte) (letter, error) {
	m, err := mail.ReadMessage(bytes.NewReader(src))
	if err != nil {
		return letter{}, err
	}
	to, err := mail.ParseAddress(m.Header.Get("To"))
	if err != nil {
		return letter{}, fmt.Errorf("To: %w", err)
	}
	l := letter{To: to.Address, From: m.Header.Get("From"), Subject: header(m.Header.Get("Subject"))}
	l.Text, err = plainText(m.Header.Get("Content-Type"), m.Header.Get("Content-Transfer-Encoding"), m.Body)
	if err == nil && l.Text == "" {
		err = errors.New("no text part")
	}
	return l, err
}

// run starts the program with arguments, waits, and returns what it printed and its exit code.
func run(t testing.TB, stdin io.Reader, args ...string) (string, int) {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = stdin
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}
