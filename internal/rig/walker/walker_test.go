package walker

import (
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const stepPage = `<!doctype html><html lang="de"><title>Sign in</title><header><form action="/language" method="post"><button>Deutsch</button></form></header>
<main><h1>Welcome</h1><p id="totp-key">ABCD  EFGH</p><a href="/help">Stuck?</a><noscript><meta http-equiv="refresh" content="2;url=/wait"></noscript>
<form method="post" action="/step"><input type="hidden" name="csrf" value="1"><input name="user" autocomplete="username webauthn" value="old">
<label>Code <input name="code" type="text" autocomplete="one-time-code"></label>
<input type="radio" name="app" value="a" checked><input type="radio" name="app" value="b"><input type="checkbox" name="news">
<select name="zone"><option value="x">X<option value="y" selected>Y</select><textarea name="note">hi</textarea>
<button name="do" value="main">Continue</button><button name="do" value="other" formaction="/else">Another way</button><button type="button">Show</button></form></main>`

func TestWalkerFillsTheFormOfAStep(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "b", Value: "1"})
		fmt.Fprint(w, stepPage)
	})
	echo := func(w http.ResponseWriter, r *http.Request) {
		if _, err := r.Cookie("b"); err != nil {
			http.Error(w, "no cookie", http.StatusBadRequest)
			return
		}
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		fmt.Fprintf(w, "<main id=got>%s %s</main>", r.URL.Path, html.EscapeString(r.PostForm.Encode()))
	}
	mux.HandleFunc("POST /step", echo)
	mux.HandleFunc("POST /else", echo)
	server := httptest.NewServer(mux)
	defer server.Close()

	c := New(nil, "")
	address := strings.Replace(server.URL, "127.0.0.1", "shop.localhost", 1)
	p, err := c.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	if p.Title() != "Sign in" || p.Text("totp-key") != "ABCD EFGH" || p.Language() != "de" || p.Link("Stuck") != address+"/help" {
		t.Fatalf("read %q %q %q %q", p.Title(), p.Text("totp-key"), p.Language(), p.Link("Stuck"))
	}
	if to, ok := p.Refresh(); !ok || to != "wait" {
		t.Errorf("refresh %q %v", to, ok)
	}
	f := p.Form()
	if !f.Asks("username") || !f.Asks("one-time-code") || f.Asks("current-password") {
		t.Error("Asks")
	}
	if got := strings.Join(f.Buttons(), "|"); got != "Continue|Another way" {
		t.Errorf("buttons %q", got)
	}
	if !f.Fill("username", "ada@example.com") || !f.Fill("one-time-code", "123456") || !f.Fill("app", "b") || f.Fill("nothing", "x") {
		t.Error("Fill")
	}
	p, err = c.Submit(f)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := p.Text("got"), "/step app=b&code=123456&csrf=1&do=main&note=hi&user=ada%40example.com&zone=y"; got != want {
		t.Errorf("sent %q, want %q", got, want)
	}
	f.Fill("news", "on")
	f.Press(1)
	p, err = c.Submit(f)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Text("got"); !strings.HasPrefix(got, "/else ") || !strings.Contains(got, "do=other") || !strings.Contains(got, "news=on") {
		t.Errorf("sent %q", got)
	}
}

// RFC 6238, appendix B, the SHA-1 rows cut to six digits.
func TestTheBuiltInAuthenticatorFollowsTheStandard(t *testing.T) {
	const secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
	for at, want := range map[int64]string{59: "287082", 1111111109: "081804", 1234567890: "005924", 20000000000: "353130"} {
		if got := TOTP(secret, time.Unix(at, 0)); got != want {
			t.Errorf("at %d: %s, want %s", at, got, want)
		}
	}
}

func TestAWalkWaitsForTheNextCodeAndStopsAtErrors(t *testing.T) {
	now := time.Unix(1_000_000_000, 0)
	var used []string
	mux := http.NewServeMux()
	mux.HandleFunc("GET /signin", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `<main><span id="totp-key">GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ</span><form method=post><input name=c autocomplete=one-time-code><button>Go</button></form></main>`)
	})
	mux.HandleFunc("POST /signin", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("c") == "" {
			fmt.Fprint(w, `<main><div id="error-summary">No code</div><form method=post></form></main>`)
			return
		}
		used = append(used, r.FormValue("c"))
		if len(used) == 2 {
			http.Redirect(w, r, "/account", http.StatusSeeOther)
			return
		}
		fmt.Fprint(w, `<main><form method=post><input name=c autocomplete=one-time-code><button>Go</button></form></main>`)
	})
	mux.HandleFunc("GET /account", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<main>in</main>") })
	server := httptest.NewServer(mux)
	defer server.Close()

	c := New(nil, "")
	start, err := c.Get(server.URL + "/signin")
	if err != nil {
		t.Fatal(err)
	}
	p := &Person{Now: func() time.Time { return now }, Wait: func(u time.Time) { now = u }}
	if _, err := p.Walk(c, start, At("/account")); err != nil {
		t.Fatal(err)
	}
	if len(used) != 2 || used[0] == used[1] || now.Unix() != 1_000_000_020 {
		t.Errorf("codes %q at %d", used, now.Unix())
	}
	p.Asked = func(*Page, *Form) bool { return true } // hands in nothing
	if _, err := p.Walk(c, start, At("/account")); err == nil || !strings.Contains(err.Error(), "No code") {
		t.Errorf("a walk goes on over an error: %v", err)
	}
}
