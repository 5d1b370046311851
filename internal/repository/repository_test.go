package repository

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"doorward/internal/fault"
	"doorward/internal/pki"
	"doorward/internal/web"
	"doorward/internal/web/webtest"
)

// authorities answer with what was asked, so that the test sees what the door made of it.
type authorities struct {
	realm, id string
	part      int
	request   []byte
	stale     bool
	err       error
}

func (a *authorities) Certificate(_ context.Context, realm, id string) ([]byte, error) {
	a.realm, a.id = realm, id
	return []byte("certificate"), a.err
}

func (a *authorities) CRL(_ context.Context, realm, id string, part int) (pki.CRL, error) {
	a.realm, a.id, a.part = realm, id, part
	next := web.SampleTime.Add(time.Hour)
	if a.stale {
		next = web.SampleTime
	}
	return pki.CRL{DER: []byte("list"), NextUpdate: next}, a.err
}

func (a *authorities) Answer(_ context.Context, realm string, request []byte) ([]byte, time.Time, error) {
	a.realm, a.request = realm, request
	return []byte("answer"), web.SampleTime.Add(2 * time.Minute), a.err
}

// ask sends a request and returns status, body and headers.
func ask(t *testing.T, a *authorities, method, path string, body io.Reader, headers ...string) (int, string, http.Header) {
	t.Helper()
	site := webtest.NewSite()
	mux := http.NewServeMux()
	(&Door{Site: site, Authorities: a, Clock: func() time.Time { return web.SampleTime }}).Mount(mux)
	r := httptest.NewRequestWithContext(t.Context(), method, "https://"+webtest.Wealth.Host+path, body)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	site.Handler(mux).ServeHTTP(w, r)
	return w.Code, w.Body.String(), w.Header()
}

func TestREQ_A57_WhatIsPublishedIsServed(t *testing.T) {
	for path, want := range map[string]struct {
		kind, body, id string
		part           int
		age            string
	}{
		"/pki/ca.crt":       {"application/pkix-cert", "certificate", "", 0, "300"},
		"/pki/ca/0195.crt":  {"application/pkix-cert", "certificate", "0195", 0, "300"},
		"/pki/crl":          {"application/pkix-crl", "list", "", 0, "300"},
		"/pki/crl/0195/12":  {"application/pkix-crl", "list", "0195", 12, "300"},
		"/pki/ocsp/MAMCAQE": {"application/ocsp-response", "0\x03\n\x01\x01", "", 0, ""}, // base64 without its end
	} {
		a := &authorities{}
		status, body, h := ask(t, a, "GET", path, nil)
		if status != 200 || body != want.body || h.Get("Content-Type") != want.kind || a.id != want.id || a.part != want.part {
			t.Errorf("%s: %d %q %v %+v", path, status, body, h, a)
		}
		if cache := h.Get("Cache-Control"); want.age != "" && cache != "public, max-age="+want.age || want.age == "" && cache != "no-store" {
			t.Errorf("%s: %s", path, cache)
		}
		if want.age != "" && a.realm != "wealth" {
			t.Errorf("%s: of realm %s", path, a.realm)
		}
	}
	for _, path := range []string{"/pki/ca/0195", "/pki/ca/.crt", "/pki/crl/0195/-1", "/pki/crl/0195/01", "/pki/crl/0195/x", "/pki/crl/0195", "/pki/ca/", "/pki/crl/0195/99999999999999999999"} {
		if status, body, _ := ask(t, &authorities{}, "GET", path, nil); status != 404 || strings.Contains(body, "list") || strings.HasPrefix(body, "certificate") {
			t.Errorf("%s: %d", path, status)
		}
	}
	for name, a := range map[string]*authorities{
		"not there": {err: fault.New(fault.NotFound, "not-found")}, "no authority": {err: fault.New(fault.Unavailable, "authority-none")}, "stale": {stale: true},
	} {
		if status, body, _ := ask(t, a, "GET", "/pki/crl", nil); status != 404 || body == "list" {
			t.Errorf("%s: %d", name, status)
		}
	}
	if status, _, _ := ask(t, &authorities{err: fault.New(fault.Unavailable, "store-unavailable")}, "GET", "/pki/crl", nil); status != 503 {
		t.Errorf("the database is away: %d", status)
	}
}

func TestSEC_C5_AskedByGETAndPOST(t *testing.T) {
	request := bytes.Repeat([]byte{0xff, 0xfb, 0xef}, 30) // slashes and plus signs in base64
	text := base64.StdEncoding.EncodeToString(request)
	for name, path := range map[string]string{"escaped": url.PathEscape(text), "half escaped": strings.ReplaceAll(text, "/", "%2F")} {
		a := &authorities{}
		status, body, h := ask(t, a, "GET", "/pki/ocsp/"+path, nil)
		if status != 200 || body != "answer" || !bytes.Equal(a.request, request) || h.Get("Cache-Control") != "public, max-age=120" {
			t.Errorf("%s: %d %q %v", name, status, body, h)
		}
	}
	a := &authorities{}
	status, body, _ := ask(t, a, "POST", "/pki/ocsp", bytes.NewReader(request), "Content-Type", "application/ocsp-request")
	if status != 200 || body != "answer" || !bytes.Equal(a.request, request) {
		t.Errorf("%d %q", status, body)
	}
	for name, body := range map[string][]byte{"10 MB": make([]byte, 10<<20), "a byte too long": make([]byte, pki.QueryMax+1)} {
		a := &authorities{}
		if status, got, _ := ask(t, a, "POST", "/pki/ocsp", bytes.NewReader(body)); status != 200 || got != string(pki.AnswerMalformed) || a.request != nil {
			t.Errorf("%s: %d %x", name, status, got)
		}
	}
	if status, _, _ := ask(t, &authorities{}, "POST", "/pki/ocsp", strings.NewReader("x"), "Sec-Fetch-Site", "cross-site"); status != 403 {
		t.Errorf("a page of another site: %d", status)
	}
}
