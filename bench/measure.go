package main

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// footprint is what an operator notices first: start, memory, size.
func footprint(_ *floorServer, s *site) ([]result, error) {
	time.Sleep(3 * time.Second) // idle, and the runtime has given back what the start needed
	idle, err := s.memory("VmRSS")
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(s.bin)
	if err != nil {
		return nil, err
	}
	return []result{
		atMost("13", "cold start to the first page", float64(median(s.cold).Microseconds())/1000, "ms", 25),
		atMost("14", "idle memory of serve", idle, "MB", 25),
		atMost("14", "size of the program", float64(info.Size())/(1<<20), "MB", 32),
	}, nil
}

// sessionCheck is the path that every request behind the door takes: whose session is this?
func sessionCheck(f *floorServer, s *site) ([]result, error) {
	if err := s.invite(8); err != nil {
		return nil, err
	}
	c := client(s.pool, s.address)
	var floor, ours []time.Duration
	for range rounds {
		d, err := perRequest(f.process, 4000, 4, func(i int) error {
			return send(f.client, request(http.MethodGet, floorURL+"/session", "", fmt.Sprintf("%043d", i%1000)), http.StatusNoContent)
		})
		if err != nil {
			return nil, err
		}
		floor = append(floor, d)
		if d, err = perRequest(s.process, 4000, 4, func(i int) error { return s.check(c, i) }); err != nil {
			return nil, err
		}
		ours = append(ours, d)
	}
	out := []result{compared("7", "session check (a live session at the sign-in: where to, no page)", median(floor), median(ours), 1.5)}
	var passes []string
	for _, session := range s.cookies[:8] {
		pass, err := s.enter(c, session)
		if err != nil {
			return out, err
		}
		passes = append(passes, pass)
	}
	r, err := beside(f, s, "7", "forward-auth check (may pass, with the assertion)", 4000, 1.5,
		func(i int) error {
			return send(f.client, request(http.MethodGet, floorURL+"/session", "", fmt.Sprintf("%043d", i%1000)), http.StatusNoContent)
		},
		func(i int) error {
			req := asksAbout("/forward-auth/check", "/page")
			req.Header.Set("Cookie", "__Host-doorward="+passes[i%len(passes)])
			return send(c, req, http.StatusOK)
		})
	return append(out, r), err
}

// guardedHost is an application behind a proxy that asks.
const guardedHost = "guarded.localhost"

// asksAbout is a proxy's request about one for a page of the guarded host.
func asksAbout(path, page string) *http.Request {
	req := request(http.MethodGet, siteURL+path, "", "")
	for name, value := range map[string]string{
		"X-Forwarded-Method": http.MethodGet, "X-Forwarded-Proto": "https", "X-Forwarded-Host": guardedHost, "X-Forwarded-Uri": page,
		"X-Forwarded-For": "198.18.255.1", "Accept": "text/html",
	} {
		req.Header.Set(name, value)
	}
	return req
}

// enter comes to the guarded host with a live session, as a browser behind a proxy does, and returns the cookie that opens it.
func (s *site) enter(c *http.Client, session string) (string, error) {
	u := &url.URL{Scheme: "https", Host: guardedHost, Path: "/page"}
	jar := map[string]map[string]string{guardedHost: {}, "shop.localhost": {"__Host-session": session}}
	for range 10 {
		req := request(http.MethodGet, siteURL+u.RequestURI(), "", "")
		if strings.HasPrefix(u.Path, "/.doorward/") {
			req = asksAbout(u.RequestURI(), u.RequestURI())
		} else if u.Host == guardedHost {
			req = asksAbout("/forward-auth/check", u.RequestURI())
		}
		for name, value := range jar[u.Host] {
			req.AddCookie(&http.Cookie{Name: name, Value: value})
		}
		res, err := c.Do(req)
		if err != nil {
			return "", err
		}
		res.Body.Close()
		for _, k := range res.Cookies() {
			jar[u.Host][k.Name] = k.Value
		}
		if res.StatusCode == http.StatusOK && u.Host == guardedHost {
			return jar[guardedHost]["__Host-doorward"], nil
		}
		to, err := u.Parse(res.Header.Get("Location"))
		if err != nil || res.Header.Get("Location") == "" || jar[to.Host] == nil {
			return "", fmt.Errorf("%s: status %d leads to %v, %v", u, res.StatusCode, to, err)
		}
		u = to
	}
	return "", fmt.Errorf("%s leads round", u)
}

// check asks with a live session for the sign-in page, which leads on at once.
func (s *site) check(c *http.Client, i int) error {
	return send(c, request(http.MethodGet, siteURL+"/signin", "", s.cookies[i%len(s.cookies)]), http.StatusSeeOther)
}

// signIn is everything from the address to the account: pages, password, code, session, audit, mail about a new browser.
func signIn(f *floorServer, s *site) ([]result, error) {
	if err := s.invite(60); err != nil {
		return nil, err
	}
	var floor, ours []time.Duration
	share := len(s.people) / rounds
	for round := range rounds {
		d, err := perRequest(f.process, 20, 2, func(int) error { return f.hash() })
		if err != nil {
			return nil, err
		}
		floor = append(floor, d)
		for _, p := range s.people[round*share : (round+1)*share] {
			p.Ready() // nobody waits while the clock runs
		}
		before, err := s.cpu()
		if err != nil {
			return nil, err
		}
		err = drive(share, 2, func(i int) error {
			n := round*share + i
			cookie, err := s.arrive(s.people[n], s.browser(1000+n), siteURL+"/signin")
			s.cookies[n] = cookie
			return err
		})
		if err != nil {
			return nil, err
		}
		after, err := s.cpu()
		if err != nil {
			return nil, err
		}
		ours = append(ours, (after-before)/time.Duration(share))
	}
	return []result{compared("8", "sign-in with password and code, all pages and rows", median(floor), median(ours), 1.05)}, nil
}

func (f *floorServer) hash() error {
	return send(f.client, request(http.MethodPost, floorURL+"/hash", "quiet lantern 58 marble", ""), http.StatusOK)
}

// storm is 32 who sign in at once and go on doing so, and then many more than the queue holds. Strangers' guesses cost
// the same hash as a right password, so a storm needs no accounts.
func storm(f *floorServer, s *site) ([]result, error) {
	const callers, lasts = 32, 8 * time.Second
	if err := s.invite(8); err != nil {
		return nil, err
	}
	// What the machine can hash while the same number of callers waits.
	begun, done := time.Now(), atomic.Int64{}
	if err := drive(200, callers, func(int) error { done.Add(1); return f.hash() }); err != nil {
		return nil, err
	}
	capacity := float64(done.Load()) / time.Since(begun).Seconds()

	if err := s.forgetPeak(); err != nil {
		return nil, err
	}
	calm, _, err := s.watch(3*time.Second, nil)
	if err != nil {
		return nil, err
	}
	var w wave
	stormy, took, err := s.watch(lasts, func(stop <-chan struct{}) error { return s.rush(callers, stop, &w) })
	if err != nil {
		return nil, err
	}
	peak, err := s.memory("VmHWM")
	if err != nil {
		return nil, err
	}
	goodput := float64(w.hashed.Load()) / took.Seconds() / capacity * 100

	var flood wave
	if _, _, err = s.watch(lasts, func(stop <-chan struct{}) error { return s.rush(400, stop, &flood) }); err != nil {
		return nil, err
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	shed := 0.0
	if n := flood.shed.Load(); n > 0 {
		shed = 100 * float64(flood.retry.Load()) / float64(n)
	}
	return []result{
		atMost("9", "session check p99, nobody signs in", ms(quantile(calm, .99)), "ms", 6),
		atMost("9", "session check p99 while 32 sign in at once", ms(quantile(stormy, .99)), "ms", 6),
		atMost("9", "memory at the peak of the storm", peak, "MB", 80),
		atLeast("9", "goodput of the storm, of what the machine can hash", goodput, "%", 75),
		atLeast("9", "turned away beyond the queue (400 at once)", float64(flood.shed.Load()), "answers", 1),
		atLeast("9", "of these with status 503 and Retry-After", shed, "%", 100),
	}, nil
}

// wave counts what became of attempts.
type wave struct {
	n                   atomic.Int64
	hashed, shed, retry atomic.Int64
}

// rush lets callers try passwords for addresses that nobody has, one after the other, until stop.
func (s *site) rush(callers int, stop <-chan struct{}, w *wave) error {
	var wait sync.WaitGroup
	var once sync.Once
	var first error
	for range callers {
		wait.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := s.guess(int(w.n.Add(1)), w); err != nil {
					once.Do(func() { first = err })
					return
				}
			}
		})
	}
	wait.Wait()
	return first
}

func (s *site) guess(n int, w *wave) error {
	b := s.browser(5000 + n)
	defer b.HTTP.CloseIdleConnections()
	page, err := b.Get(siteURL + "/signin")
	if err != nil {
		return err
	}
	f := page.Form()
	f.Fill("username", fmt.Sprintf("nobody%d@bench.example", n))
	if page, err = b.Submit(f); err != nil {
		return err
	}
	if f = page.Form(); f == nil || !f.Fill("current-password", "quiet lantern 58 marble") {
		return fmt.Errorf("no password is asked at %s (%d, %q)", page.URL, page.Status, page.Title())
	}
	if page, err = b.Submit(f); err != nil {
		return err
	}
	switch {
	case page.Status == http.StatusServiceUnavailable:
		w.shed.Add(1)
		if page.Header.Get("Retry-After") != "" {
			w.retry.Add(1)
		}
	case page.Text("error-summary") != "":
		w.hashed.Add(1)
	default:
		return fmt.Errorf("a guess leads to %s (%d, %q)", page.URL, page.Status, page.Title())
	}
	return nil
}

// watch measures session checks, a hundred a second, while something else goes on (or nothing).
func (s *site) watch(lasts time.Duration, meanwhile func(stop <-chan struct{}) error) ([]time.Duration, time.Duration, error) {
	stop, over := make(chan struct{}), make(chan error, 1)
	begun := time.Now()
	if meanwhile != nil {
		go func() { over <- meanwhile(stop) }()
	}
	c := client(s.pool, s.address)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var took []time.Duration
	var err error
	for i := 0; time.Since(begun) < lasts && err == nil; i++ {
		<-tick.C
		at := time.Now()
		err = s.check(c, i)
		took = append(took, time.Since(at))
	}
	lasted := time.Since(begun)
	close(stop)
	if meanwhile != nil {
		if e := <-over; err == nil {
			err = e
		}
	}
	return took, lasted, err
}
