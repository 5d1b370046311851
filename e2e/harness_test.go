package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"rsc.io/qr"

	"doorward/internal/rig/walker"
)

func awaitPromise(p *runtime.EvaluateParams) { p.AwaitPromise = new(true) }

// The tools of the journeys, tried on pages of their own: a journey that fails should fail because of the product.
func TestHarness(t *testing.T) {
	const secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	uri := "otpauth://totp/Shop:ada@example.com?secret=" + secret + "&issuer=Shop"
	picture, err := qr.Encode(uri, qr.M)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /qr.png", func(w http.ResponseWriter, r *http.Request) {
		picture.Scale = 6
		w.Header().Set("Content-Type", "image/png")
		w.Write(picture.PNG())
	})
	form := func(r *http.Request, method string) string {
		return fmt.Sprintf(`<!doctype html><html lang="en"><title>Step %s</title><meta name="viewport" content="width=device-width"><main><h1>Step</h1><p id="lang">%s</p>
<img src="/qr.png" alt="QR code"><form method="post"><label>Code <input name="code" autocomplete="one-time-code" value=""></label>
<button>Continue</button> <button name="x" value="%s">Other way</button></form></main></html>`, method, r.Header.Get("Accept-Language"), r.PostFormValue("code")+r.PostFormValue("x"))
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, form(r, "one")) })
	mux.HandleFunc("POST /{$}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, strings.Replace(form(r, "two"), "Step</h1>", "Got "+r.PostFormValue("code")+"</h1>", 1))
	})
	mux.HandleFunc("GET /bad", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `<!doctype html><title></title><img src="/qr.png"><input><div style="width:2000px">wide</div>`)
	})
	server := httptest.NewServer(mux)
	defer server.Close()

	b := openBrowser(t)
	p := b.person(t, "de")
	p.open(server.URL + "/")
	if p.title() != "Step one" || p.text("#lang") != "de" || !p.has("form") || p.has("#nothing") {
		t.Fatalf("title %q, language %q", p.title(), p.text("#lang"))
	}
	if got := p.scan(); len(got) != 1 || got[0] != uri {
		t.Fatalf("scanned %q", got)
	}
	p.axe("good page")
	p.look("page")
	now := code(t, secret, time.Now())
	p.fill("one-time-code", now)
	p.submit()
	if got := p.text("h1"); got != "Got "+now {
		t.Errorf("after submit: %q", got)
	}
	p.await("document.title === 'Step two'")
	p.follow("Other way")
	if code(t, secret, time.Unix(59, 0)) != walker.TOTP(secret, time.Unix(59, 0)) || now == code(t, secret, time.Now().Add(time.Hour)) {
		t.Error("codes do not change with time")
	}

	bad := &recorder{TB: t}
	p.open(server.URL + "/bad")
	(&tab{bad, p.ctx}).axe("bad page")
	(&tab{bad, p.ctx}).look("bad")
	if !bad.said("axe image-alt") || !bad.said("axe label") || !bad.said("px wide") {
		t.Errorf("the checks of a page do not find what is wrong: %q", bad.errors)
	}
}

// recorder takes failures in, to prove that a check can fail.
type recorder struct {
	testing.TB
	errors []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}
func (r *recorder) Logf(string, ...any) {}
func (r *recorder) said(part string) bool {
	for _, e := range r.errors {
		if strings.Contains(e, part) {
			return true
		}
	}
	return false
}
