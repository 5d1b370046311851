package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// sizes are the screens that every page is looked at on.
var sizes = []struct {
	name          string
	width, height int64
}{{"390x844", 390, 844}, {"820x1180", 820, 1180}, {"1440x900", 1440, 900}}

// browser is one Chromium with its own profile and trust store; tabs of it may have their own cookies.
type browser struct {
	t   testing.TB
	ctx context.Context
}

// openBrowser starts Chromium. It trusts the CAs in caFiles as a person's browser would, by the user's NSS database, so that
// service workers and passkeys behave as in reality. It ends with the test.
func openBrowser(t testing.TB, caFiles ...string) *browser {
	t.Helper()
	return openBrowserWith(t, nil, caFiles...)
}

// openBrowserWith is openBrowser on a device with certificates. It shows one to whoever of the wealth realm asks, as if its
// person had chosen it.
func openBrowserWith(t testing.TB, certificates []keyFile, caFiles ...string) *browser {
	t.Helper()
	return openBrowserAt(t, here, chooses, certificates, caFiles...)
}

// openBrowserAt is openBrowserWith for names that lead elsewhere than to this machine's own ports (rules of
// --host-resolver-rules), and with preferences of its own.
func openBrowserAt(t testing.TB, names, prefers string, certificates []keyFile, caFiles ...string) *browser {
	t.Helper()
	home := t.TempDir()
	nss := filepath.Join(home, ".pki", "nssdb")
	if err := os.MkdirAll(nss, 0o700); err != nil {
		t.Fatal(err)
	}
	command(t, nil, "certutil", "-N", "-d", "sql:"+nss, "--empty-password")
	for _, file := range caFiles {
		command(t, nil, "certutil", "-A", "-d", "sql:"+nss, "-n", file, "-t", "C,,", "-i", file)
	}
	for _, c := range certificates {
		command(t, nil, "pk12util", "-i", c.path, "-d", "sql:"+nss, "-W", c.password, "-K", "")
	}
	if len(certificates) > 0 {
		preferences := filepath.Join(home, "profile", "Default", "Preferences")
		if err := os.MkdirAll(filepath.Dir(preferences), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(preferences, []byte(prefers), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("/usr/bin/chromium"),
		chromedp.Flag("headless", "new"),
		chromedp.Flag("no-sandbox", true), // the tests may run as root in a container
		chromedp.Flag("disable-gpu", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", names),
		chromedp.UserDataDir(filepath.Join(home, "profile")),
		chromedp.Env("HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home, "XDG_RUNTIME_DIR="+home, "PATH="+os.Getenv("PATH")),
		chromedp.CombinedOutput(io.Discard),
	)
	allocated, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocated)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil { // binds the browser's life to ctx
		t.Fatal(err)
	}
	return &browser{t, ctx}
}

// here lets nothing leave the machine, whatever a page asks for.
const here = "MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1"

// keyFile is a certificate with its key, as it comes to a device.
type keyFile struct{ path, password string }

// chooses are the preferences of somebody who always chooses the certificate that fits.
const chooses = `{"profile":{"content_settings":{"exceptions":{"auto_select_certificate":{"https://[*.]wealth.localhost,*":{"setting":{"filters":[{}]}}}}}}}`

// tab is one person at one browser. Its methods fail the test.
type tab struct {
	t   testing.TB
	ctx context.Context
}

// person opens a tab with cookies of its own: another person, or the same one elsewhere.
func (b *browser) person(t testing.TB, language string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	p := &tab{t, ctx}
	if language != "" {
		p.call("language", func(ctx context.Context) error {
			_, err := chromedp.Call(ctx, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{
				Headers: network.Headers{"Accept-Language": language},
			})
			return err
		})
	}
	p.screen(1440, 900, "light")
	return p
}

const patience = time.Minute

func (p *tab) call(what string, f func(context.Context) error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := f(ctx); err != nil {
		p.keep("failed")
		p.t.Fatalf("%s: %v", what, err)
	}
}

func (p *tab) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	p.call(what, func(ctx context.Context) error { return chromedp.Do(ctx, actions...) })
}

func read[T any](p *tab, what string, a chromedp.Action[T]) (v T) {
	p.t.Helper()
	p.call(what, func(ctx context.Context) (err error) { v, err = chromedp.Run(ctx, a); return err })
	return v
}

func eval[T any](p *tab, js string) T {
	p.t.Helper()
	return read(p, js, chromedp.Evaluate[T](js))
}

// open goes to an address.
func (p *tab) open(address string) {
	p.t.Helper()
	p.do("open "+address, chromedp.Navigate(address))
}

// title, address and text read the page.
func (p *tab) title() string   { p.t.Helper(); return read(p, "title", chromedp.Title()) }
func (p *tab) address() string { p.t.Helper(); return read(p, "address", chromedp.Location()) }
func (p *tab) text(selector string) string {
	p.t.Helper()
	return strings.TrimSpace(eval[string](p, fmt.Sprintf("(document.querySelector(%q)?.innerText ?? '')", selector)))
}

func (p *tab) has(selector string) bool {
	p.t.Helper()
	return eval[bool](p, fmt.Sprintf("document.querySelector(%q) !== null", selector))
}

// await waits until an expression is true on the page, also while the page moves on by itself.
func (p *tab) await(js string) {
	p.t.Helper()
	within(p.t, js+" at "+p.address(), func() bool {
		ctx, cancel := context.WithTimeout(p.ctx, patience)
		defer cancel()
		v, err := chromedp.Run(ctx, chromedp.Evaluate[bool](js))
		return err == nil && v
	})
}

// fill types into the field of the step with an autocomplete value, or with that id.
func (p *tab) fill(autocomplete, value string) {
	p.t.Helper()
	sel := chromedp.CSS(fmt.Sprintf(`main form [autocomplete~=%q]:not([type=hidden]), main form input[id=%q]`, autocomplete, autocomplete))
	p.do("fill "+autocomplete, chromedp.WaitVisible(sel), chromedp.Clear(sel), chromedp.SendKeys(sel, value))
}

// click presses what selector names and waits for the page that follows.
func (p *tab) click(selector string) {
	p.t.Helper()
	sel := chromedp.CSS(selector)
	p.do("click "+selector, chromedp.WaitVisible(sel))
	read(p, "click "+selector, chromedp.WaitEvent(page.LoadEventFired, nil, chromedp.Click(sel)))
}

// submit presses the main button of the step: the first submit button of the posting form.
func (p *tab) submit() {
	p.t.Helper()
	p.click(`main form[method=post] button:not([type=button]), main form[method=post] input[type=submit]`)
}

// follow clicks the first link or button whose text contains part.
func (p *tab) follow(part string) {
	p.t.Helper()
	found := eval[bool](p, fmt.Sprintf(`(() => {
		document.querySelectorAll('[data-e2e]').forEach(n => n.removeAttribute('data-e2e'));
		const n = [...document.querySelectorAll('a[href], button:not([type=button])')].find(n => n.innerText.includes(%q) && n.offsetParent);
		if (n) n.setAttribute('data-e2e', '');
		return !!n;
	})()`, part))
	if !found {
		p.keep("failed")
		p.t.Fatalf("no link or button %q at %s (%s)", part, p.address(), p.title())
	}
	p.click("[data-e2e]")
}

// screen sets the size and the colour scheme.
func (p *tab) screen(width, height int64, scheme string) {
	p.t.Helper()
	p.do("screen", chromedp.EmulateViewport(width, height))
	p.call("scheme", func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}},
		})
		return err
	})
}

// plain keeps file names easy to type.
var plain = regexp.MustCompile(`[^A-Za-z0-9_]+`)

// shots is where pictures are kept, to be looked at; git does not keep them.
const shots = "shots"

// keep stores a picture of the whole page under a name. A browser that is short of processors sometimes drops the frame the
// picture is waiting for and never draws another; asking again makes it draw.
func (p *tab) keep(name string) string {
	p.t.Helper()
	var picture []byte
	var err error
	for range 3 {
		if picture, err = p.picture(); err == nil {
			break
		}
	}
	if err != nil {
		p.t.Errorf("picture %s: %v", name, err)
		return ""
	}
	if err := os.MkdirAll(shots, 0o755); err != nil {
		p.t.Fatal(err)
	}
	file := filepath.Join(shots, plain.ReplaceAllString(p.t.Name()+"-"+name, "-")+".png")
	if err := os.WriteFile(file, picture, 0o644); err != nil {
		p.t.Fatal(err)
	}
	return file
}

// picture is one of the whole page, within a third of the patience.
func (p *tab) picture() ([]byte, error) {
	ctx, cancel := context.WithTimeout(p.ctx, patience/3)
	defer cancel()
	return chromedp.Run(ctx, func(ctx context.Context, t *chromedp.Target) ([]byte, error) {
		if _, err := cdp.Call(ctx, t, page.BringToFront, cdp.Empty{}); err != nil {
			return nil, err
		}
		return chromedp.FullScreenshot(100)(ctx, t)
	})
}

// look checks at every size that nothing is cut off sideways, and keeps pictures in light and dark where they are asked for:
// a person looks at them, and a run that nobody watches does better without.
func (p *tab) look(name string) {
	p.t.Helper()
	for _, s := range sizes {
		p.screen(s.width, s.height, "light")
		if pictures() {
			p.keep(name + "-" + s.name + "-light")
			p.screen(s.width, s.height, "dark")
			p.keep(name + "-" + s.name + "-dark")
		}
		if wide := eval[int](p, "document.documentElement.scrollWidth"); int64(wide) > s.width {
			p.t.Errorf("%s is %d px wide on a screen of %d", name, wide, s.width)
		}
	}
	p.screen(1440, 900, "light")
}

// scan reads the QR codes of the page from a picture, as a phone would.
func (p *tab) scan() []string {
	p.t.Helper()
	out := command(p.t, nil, "zbarimg", "-q", "--raw", "--nodbus", p.keep("qr"))
	return strings.Fields(out)
}

// command runs a tool of the machine.
func command(t testing.TB, stdin io.Reader, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = stdin
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return strings.TrimSpace(string(out))
}

// code is what an authenticator app shows for a secret at a time. The caller names the time, because a slow machine may
// be in the next step by the time the tool runs.
func code(t testing.TB, secret string, at time.Time) string {
	t.Helper()
	return command(t, nil, "oathtool", "--totp", "-b", "-N", at.UTC().Format("2006-01-02 15:04:05 UTC"), strings.ReplaceAll(secret, " ", ""))
}

// violation is what axe found wrong with a page.
type violation struct {
	ID, Impact, Help string
	Nodes            []struct{ HTML string }
}

// axe checks the page against the rules of axe-core and fails for every violation.
func (p *tab) axe(name string) {
	p.t.Helper()
	source, err := os.ReadFile(filepath.Join("node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		p.t.Fatalf("%v (make axe installs it)", err)
	}
	p.do("axe", chromedp.Evaluate[chromedp.Void](string(source)+"\n;undefined"))
	var found []violation
	raw := read(p, "axe.run", chromedp.Evaluate[string](`axe.run().then(r => JSON.stringify(r.violations.map(v => ({id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.map(n => ({html: n.html}))}))))`, awaitPromise))
	if err := json.Unmarshal([]byte(raw), &found); err != nil {
		p.t.Fatal(err)
	}
	for _, v := range found {
		p.t.Errorf("%s: axe %s (%s): %s", name, v.ID, v.Impact, v.Help)
		for _, n := range v.Nodes {
			p.t.Logf("  %s", n.HTML)
		}
	}
}
