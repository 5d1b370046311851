package e2e

import (
	"context"
	"fmt"
	goruntime "runtime"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// hands is how somebody works at a tab: with the mouse, or with nothing but the keyboard, and then every step fails where
// Tab does not lead to what is wanted, or where nobody could see that it has.
type hands struct {
	*tab
	keys bool
}

// withHands gives a tab its hands. A tab in the background keeps what is focused only where the browser pretends.
func withHands(p *tab, keys bool) *hands {
	p.t.Helper()
	p.call("focus", func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
		return err
	})
	return &hands{p, keys}
}

// where says how the focus stands to what a selector names: "there", "unseen" (there, but nothing shows it), "missing" (the
// page has no such thing), or "" for elsewhere. Of a group of radio buttons Tab reaches one.
const where = `(() => {
	const n = document.querySelector(%q), a = document.activeElement;
	if (!n) return 'missing';
	if (a !== n && !(n.type === 'radio' && a.type === 'radio' && a.name === n.name)) return '';
	const ring = e => { const s = getComputedStyle(e); return s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0 };
	const r = a.getBoundingClientRect();
	const seen = r.bottom > 0 && r.right > 0 && r.top < innerHeight && r.left < innerWidth;
	return seen && (ring(a) || a.closest('label') && ring(a.closest('label'))) ? 'there' : 'unseen';
})()`

// reach presses Tab until the focus is on what selector names.
func (h *hands) reach(selector string) {
	h.t.Helper()
	for range 200 {
		switch eval[string](h.tab, fmt.Sprintf(where, selector)) {
		case "there":
			return
		case "missing":
			h.keep("failed")
			h.t.Fatalf("nothing is %s at %s (%s): %s", selector, h.address(), h.title(), h.text("main"))
		case "unseen":
			h.keep("failed")
			h.t.Fatalf("the focus is on %s at %s, and nobody can see it", selector, h.address())
		}
		h.do("tab", chromedp.KeyEvent(kb.Tab))
	}
	h.keep("failed")
	h.t.Fatalf("Tab does not lead to %s at %s", selector, h.address())
}

// press follows a link or presses a button, and waits for the page after it.
func (h *hands) press(selector string) {
	h.t.Helper()
	if !h.keys {
		if !h.has(selector) {
			h.keep("failed")
			h.t.Fatalf("nothing is %s at %s (%s): %s", selector, h.address(), h.title(), h.text("main"))
		}
		h.click(selector)
		return
	}
	h.reach(selector)
	h.enter(selector)
}

// enter presses Enter and waits for the page after it.
func (h *hands) enter(what string) {
	h.t.Helper()
	read(h.tab, "enter "+what, chromedp.WaitEvent(page.LoadEventFired, nil, chromedp.KeyEvent(kb.Enter)))
}

// write types into a field, in the place of what stands there.
func (h *hands) write(selector, value string) {
	h.t.Helper()
	if !h.keys {
		sel := chromedp.CSS(selector)
		h.do("click into "+selector, chromedp.WaitVisible(sel), chromedp.Focus(sel))
		eval[bool](h.tab, fmt.Sprintf("(document.querySelector(%q).select(), true)", selector))
		h.do("write "+selector, chromedp.KeyEvent(value))
		return
	}
	h.reach(selector)
	h.do("select all", chromedp.KeyEvent("a", chromedp.KeyModifiers(chromedp.ModifierCtrl)))
	h.do("write "+selector, chromedp.KeyEvent(value))
	if got := eval[string](h.tab, fmt.Sprintf("document.querySelector(%q).value", selector)); got != value {
		h.t.Fatalf("typed %q into %s, and it holds %q", value, selector, got)
	}
}

// mark ticks a box or chooses a radio button.
func (h *hands) mark(selector string) {
	h.t.Helper()
	on := fmt.Sprintf("document.querySelector(%q).checked", selector)
	if !h.keys {
		sel := chromedp.CSS(selector)
		h.do("mark "+selector, chromedp.ScrollIntoView(sel), chromedp.Click(sel))
	} else {
		h.reach(selector)
		for range 12 {
			if eval[bool](h.tab, fmt.Sprintf("document.activeElement === document.querySelector(%q)", selector)) {
				break
			}
			h.do("down", chromedp.KeyEvent(kb.ArrowDown))
		}
		if !eval[bool](h.tab, on) {
			h.do("space", chromedp.KeyEvent(" "))
		}
	}
	if !eval[bool](h.tab, on) {
		h.t.Fatalf("%s is not marked at %s", selector, h.address())
	}
}

// choose picks an entry of a list by its value.
func (h *hands) choose(selector, value string) {
	h.t.Helper()
	is := fmt.Sprintf("document.querySelector(%q).value === %q", selector, value)
	if !h.keys {
		eval[bool](h.tab, fmt.Sprintf("(document.querySelector(%q).value = %q, document.querySelector(%q).dispatchEvent(new Event('change', {bubbles: true})))", selector, value, selector))
	} else {
		h.reach(selector)
		for _, key := range []string{kb.ArrowDown, kb.ArrowUp} {
			for range 30 {
				if eval[bool](h.tab, is) {
					break
				}
				h.do("arrow", chromedp.KeyEvent(key))
			}
		}
	}
	if !eval[bool](h.tab, is) {
		h.t.Fatalf("%s does not offer %q at %s", selector, value, h.address())
	}
}

// What walks with the keyboard must be able to fail: a page with a button that Tab does not reach, and one that hides it.
func TestHandsSeeWhatTheKeyboardCannot(t *testing.T) {
	t.Parallel()
	b := openBrowser(t)
	h := withHands(b.person(t, "en"), true)
	h.open(`data:text/html,<html lang="en"><a id="one" href="%23">one</a><button id="never" tabindex="-1">never</button><button id="dark" style="outline:none">dark</button>` +
		`<input id="word"><label><input type="radio" name="r" id="r1">1</label><label><input type="radio" name="r" id="r2">2</label><select id="s"><option value="">none<option value="a">a<option value="b">b</select>`)
	h.write("#word", "typed")
	h.mark("#r2")
	h.choose("#s", "b")
	h.reach("#one")
	for _, selector := range []string{"#never", "#dark", "#nothing"} {
		if !fails(t, func(t testing.TB) { (&hands{&tab{t, h.ctx}, true}).reach(selector) }) {
			t.Errorf("%s is reached", selector)
		}
	}
}

// fails reports whether a step ends its test.
func fails(t testing.TB, step func(testing.TB)) bool {
	rec := &stopper{recorder: recorder{TB: t}}
	done := make(chan struct{})
	go func() { defer close(done); step(rec) }()
	<-done
	return rec.stopped
}

// stopper takes the end of a test in, to prove that a step can fail.
type stopper struct {
	recorder
	stopped bool
}

func (s *stopper) Fatalf(string, ...any) {
	s.stopped = true
	goruntime.Goexit()
}
