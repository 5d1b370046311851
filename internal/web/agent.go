package web

import (
	"strings"

	"github.com/mileusna/useragent"
)

// Agent is what a browser says it is. It is shown to people and picks a guide; it never decides anything.
type Agent struct {
	Name    string // Firefox, Safari, Chrome, Edge, …; empty when not recognised
	Version string // major version
	System  string // Windows, macOS, iOS, Android, Linux, ChromeOS; empty when not recognised
	Mobile  bool   // phone or tablet
	InApp   string // the application whose built-in browser this is, empty for a real browser (REQ A42)
}

// folds are the parts of the guides to certificates (internal/web/help), by system and by what a file was made for.
var folds = map[string]string{
	"Windows": "#windows", "macOS": "#macos", "Linux": "#linux", "ChromeOS": "#linux", "Android": "#android", "iOS": "#ios", "iPadOS": "#ios",
	"windows": "#windows", "macos": "#macos", "linux": "#linux", "android": "#android", "ios": "#ios",
}

// Fold is the part of the guides for what a file was made for; where that is a browser, or nothing, for the system of this
// browser. It is the end of an address, empty where the system is not known.
func (a Agent) Fold(target string) string {
	if fold := folds[target]; fold != "" {
		return fold
	}
	return folds[a.System]
}

// inApps are marks of browsers inside applications: they keep no certificates, passkeys or extensions.
var inApps = []struct{ mark, name string }{
	{"FBAN/", "Facebook"}, {"FBAV/", "Facebook"}, {"Instagram", "Instagram"}, {"LinkedInApp", "LinkedIn"},
	{"WhatsApp", "WhatsApp"}, {"Line/", "LINE"}, {"MicroMessenger", "WeChat"}, {"Teams/", "Teams"}, {"; wv)", "Android"},
}

// ParseAgent reads a User-Agent header. Longer ones than any browser sends are not read.
func ParseAgent(header string) Agent {
	if header == "" || len(header) > 1024 {
		return Agent{}
	}
	u := useragent.Parse(header)
	a := Agent{Name: u.Name, System: u.OS, Mobile: u.Mobile || u.Tablet}
	if major, _, ok := strings.Cut(u.Version, "."); ok && len(major) <= 4 && strings.Trim(major, "0123456789") == "" {
		a.Version = major
	}
	switch a.System {
	case "CrOS":
		a.System = "ChromeOS"
	case "macOS", "Windows", "iOS", "Android", "Linux":
	default:
		a.System = ""
	}
	switch {
	case strings.Contains(header, "iPad"):
		a.System = "iPadOS"
	case strings.Contains(header, "iPhone"):
		a.System = "iOS"
	}
	if !plain(a.Name) {
		a.Name = ""
	}
	for _, m := range inApps {
		if strings.Contains(header, m.mark) {
			a.InApp = m.name
			break
		}
	}
	return a
}

// plain accepts only what a browser's name is made of, so that a made-up header cannot write sentences into pages, mails
// and logs.
func plain(name string) bool {
	if len(name) == 0 || len(name) > 24 {
		return false
	}
	for _, c := range name {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == ' ') {
			return false
		}
	}
	return true
}

// String is the short form that is kept in sessions and the audit trail, "Firefox on Windows"; empty when nothing is
// known. View.On says it in the reader's language.
func (a Agent) String() string {
	switch {
	case a.Name != "" && a.System != "":
		return a.Name + " on " + a.System
	case a.Name != "":
		return a.Name
	}
	return a.System
}

// Apple reports whether the system is one of Apple's.
func (a Agent) Apple() bool { return a.System == "macOS" || a.System == "iOS" || a.System == "iPadOS" }
