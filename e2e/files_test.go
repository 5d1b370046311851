package e2e

import (
	"context"
	"path/filepath"
	"strings"

	downloading "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// asChrome leaves out of what the browser calls itself that nobody sits before it: pages say what helps in this browser.
func (p *tab) asChrome() *tab {
	p.t.Helper()
	name := strings.ReplaceAll(eval[string](p, "navigator.userAgent"), "Headless", "")
	p.call("user agent", func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: name})
		return err
	})
	return p
}

// keepsIn lets a browser keep files in a directory.
func (p *tab) keepsIn(dir string) {
	p.t.Helper()
	p.call("downloads", func(ctx context.Context) error {
		_, err := chromedp.CallBrowser(ctx, downloading.SetDownloadBehavior, downloading.SetDownloadBehaviorParams{
			Behavior: downloading.SetDownloadBehaviorBehaviorAllow, BrowserContextID: chromedp.FromContext(ctx).BrowserContextID, DownloadPath: dir,
		})
		return err
	})
}

// fetch presses what fetches a file, waits for it and returns where it lies.
func (p *tab) fetch(dir, selector string) (file string) {
	p.t.Helper()
	p.do("fetch "+selector, chromedp.Click(chromedp.CSS(selector)))
	within(p.t, "a file in "+dir, func() bool {
		found, err := filepath.Glob(filepath.Join(dir, "*.p12"))
		if len(found) > 0 {
			file = found[0]
		}
		return err == nil && len(found) == 1
	})
	return file
}
