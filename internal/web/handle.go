package web

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"mime"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"doorward/internal/fault"
)

// Handler answers one request. An error means that it has written nothing yet.
type Handler func(w http.ResponseWriter, r *http.Request) error

// BodyLimit is what a form may weigh, in bytes.
const BodyLimit = 64 << 10

// Faults of the site itself.
var (
	errForeign = fault.New(fault.Forbidden, "foreign-form")
	errMethod  = fault.New(fault.Invalid, "method")
	errNoPage  = fault.New(fault.NotFound, "no-page")
	errForm    = fault.New(fault.Invalid, "form-broken")
	errTooBig  = fault.New(fault.Invalid, "form-too-big")
)

// router is an answer that wants to know, for the log, which route its request took.
type router interface{ Route(pattern string) }

// Handle registers h under a pattern of http.ServeMux ("GET /signin"). Forms are read before h runs and limited to
// BodyLimit; what h returns becomes a page.
func (s *Site) Handle(mux *http.ServeMux, pattern string, h Handler) {
	s.HandleBig(mux, pattern, BodyLimit, h)
}

// HandleBig is Handle for a route that takes larger bodies, such as the import of a file. limit is in bytes. A body that
// is no urlencoded form is left to h.
func (s *Site) HandleBig(mux *http.ServeMux, pattern string, limit int64, h Handler) {
	s.patterns = append(s.patterns, pattern)
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		defer s.rescue(w, r)
		if seen, ok := w.(router); ok {
			seen.Route(r.Pattern)
		}
		r.Body = http.MaxBytesReader(w, r.Body, limit)
		if err := readForm(r); err != nil {
			s.fail(w, r, err)
			return
		}
		if err := h(w, r); err != nil {
			s.fail(w, r, err)
		}
	})
}

// Patterns are all that were registered so far, in that order: what tests go through, so that no route is left out.
func (s *Site) Patterns() []string { return slices.Clone(s.patterns) }

func readForm(r *http.Request) error {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Method == http.MethodGet || err != nil || kind != "application/x-www-form-urlencoded" {
		return nil
	}
	if err := r.ParseForm(); err != nil {
		var big *http.MaxBytesError
		if errors.As(err, &big) {
			return errTooBig
		}
		return errForm.Because(err)
	}
	return nil
}

// rescue turns a panic into the page for our own errors. Only the kind of the value is logged, not the value: it may
// hold what somebody typed.
func (s *Site) rescue(w http.ResponseWriter, r *http.Request) {
	p := recover()
	switch e := p.(type) {
	case nil:
	case runtime.Error:
		s.fail(w, r, fmt.Errorf("panic: %w\n%s", e, debug.Stack()))
	default:
		if p == http.ErrAbortHandler {
			panic(p)
		}
		s.fail(w, r, fmt.Errorf("panic with %T\n%s", p, debug.Stack()))
	}
}

// StatusOf maps the kinds of faults to HTTP status codes, once for all pages; 500 for what is ours.
func StatusOf(err error) int {
	f := fault.As(err)
	if f == nil {
		return http.StatusInternalServerError
	}
	switch {
	case errors.Is(err, errMethod):
		return http.StatusMethodNotAllowed
	case errors.Is(err, errTooBig):
		return http.StatusRequestEntityTooLarge
	}
	switch f.Kind {
	case fault.Invalid, fault.Rejected, fault.Exists:
		return http.StatusUnprocessableEntity
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		return http.StatusConflict
	case fault.Expired:
		return http.StatusGone
	case fault.Throttled:
		return http.StatusTooManyRequests
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// retryAfter sets the header of the same name when the fault says when to come back.
func retryAfter(w http.ResponseWriter, err error) {
	if f := fault.As(err); f != nil && f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(f.RetryAfter.Seconds()))))
	}
}

// fail answers with a page of its own for an error.
func (s *Site) fail(w http.ResponseWriter, r *http.Request, err error) {
	page := ErrorPage{Status: StatusOf(err)}
	if page.Status == http.StatusInternalServerError {
		page.Reference = Reference()
		s.Log.LogAttrs(r.Context(), slog.LevelError, "page failed",
			slog.String("reference", page.Reference), slog.String("method", r.Method), slog.String("pattern", r.Pattern), slog.String("error", err.Error()))
	} else {
		page.Message = From(r).Say(err)
	}
	retryAfter(w, err)
	if strings.HasPrefix(r.URL.Path, "/assets/") || !wantsPage(r) || From(r).MTLS {
		http.Error(w, http.StatusText(page.Status), page.Status)
		return
	}
	page.View.Status = page.Status
	if err := errorPage.Show(w, r, page); err != nil {
		s.Log.LogAttrs(r.Context(), slog.LevelError, "error page failed", slog.String("error", err.Error()))
		http.Error(w, http.StatusText(page.Status), page.Status)
	}
}

// wantsPage reports whether the request can use HTML; scripts that fetch ask for JSON and get the status only.
func wantsPage(r *http.Request) bool {
	accept := r.Header.Get("Accept")
	return accept == "" || strings.Contains(accept, "text/html") || strings.Contains(accept, "*/*")
}

// alphabet leaves out what is misread on the phone: 0 O 1 I L U.
const alphabet = "23456789ABCDEFGHJKMNPQRSTVWXYZ"

// Reference is eight characters that a person can read out, to find the line in the log.
func Reference() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (Go 1.24)
	for i := range b {
		b[i] = alphabet[int(b[i])%len(alphabet)]
	}
	return string(b[:4]) + "-" + string(b[4:])
}

// Redirect answers 303 to a path of this host, after a POST. It refuses anything else (SEC F-4): addresses of relying
// parties go through Leave.
func Redirect(w http.ResponseWriter, r *http.Request, path string) error {
	if !LocalPath(path) {
		return fmt.Errorf("web: redirect to %q refused", path)
	}
	if strings.Contains(path, "//") || strings.Contains(path, "/.") || strings.ContainsFunc(path, func(c rune) bool { return c >= 0x80 || c == '"' || c == ' ' }) {
		http.Redirect(w, r, path, http.StatusSeeOther) // cleans and escapes
		return nil
	}
	w.Header()["Location"] = []string{path}
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// Leave answers 303 to an address outside, which the caller has from the realm's own data, never from the request.
func Leave(w http.ResponseWriter, r *http.Request, address string) error {
	http.Redirect(w, r, address, http.StatusSeeOther)
	return nil
}

// LocalPath reports whether p is a path of this host and cannot be read as anything else: browsers take "//" and "/\"
// for another host, and drop tabs and line ends.
func LocalPath(p string) bool {
	if !strings.HasPrefix(p, "/") || strings.HasPrefix(p, "//") || strings.ContainsAny(p, "\\") {
		return false
	}
	for _, c := range []byte(p) {
		if c < ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

// SetCookie sets a cookie of this host alone: __Host- prefix, Secure, HttpOnly, SameSite=Lax. seconds 0 lasts until the
// browser is closed; a negative value removes it.
func SetCookie(w http.ResponseWriter, name, value string, seconds int) {
	http.SetCookie(w, &http.Cookie{Name: "__Host-" + name, Value: value, Path: "/", MaxAge: seconds, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// Cookie reads a cookie set by SetCookie; empty when there is none. A name that comes twice counts as none, since one of
// the two was planted.
func Cookie(r *http.Request, name string) string {
	all, ok := []*http.Cookie(nil), false
	if v, is := r.Context().Value(visitKey{}).(*Visit); is {
		all, ok = v.cookies, v.read
	}
	if !ok {
		all = r.Cookies()
	}
	return cookie(all, name)
}

func cookie(all []*http.Cookie, name string) string {
	value, found := "", 0
	for _, c := range all {
		if rest, ok := strings.CutPrefix(c.Name, "__Host-"); ok && rest == name {
			value = c.Value
			found++
		}
	}
	if found != 1 {
		return ""
	}
	return value
}

// asking is the cookie with the address that somebody who got stuck has typed, for the request form.
const asking = "asking"

// KeepAsking remembers the address of somebody who is led to the request form, for ten minutes and in this browser alone:
// in the link it would stand in histories and logs.
func KeepAsking(w http.ResponseWriter, address string) {
	SetCookie(w, asking, base64.RawURLEncoding.EncodeToString([]byte(address)), 600)
}

// Asking is the address that KeepAsking has kept; empty for none.
func Asking(r *http.Request) string {
	b, err := base64.RawURLEncoding.DecodeString(Cookie(r, asking))
	if err != nil || len(b) > 254 || !utf8.Valid(b) {
		return ""
	}
	return string(b)
}
