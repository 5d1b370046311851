package web_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"doorward/internal/web"
	"doorward/internal/web/webtest"
)

func TestPages(t *testing.T) { webtest.Pages(t, web.Pages) }

// SlipPage is what the slips below are tried on.
type SlipPage struct {
	web.View
	Name  string
	Items []struct{ Label string }
}

// The check finds a slip of the pen in a branch that no sample reaches.
func TestCheckFindsSlips(t *testing.T) {
	for body, wrong := range map[string]bool{
		`{{.Name}}{{range .Items}}{{.Label}}{{$.Name}}{{end}}`:                         false,
		`{{template "field" (.Field "a" "base.back").Code}}`:                           false,
		`{{with .Flash}}{{.Tone}}{{end}}{{range $i, $x := .Items}}{{$x.Label}}{{end}}`: false,
		`{{if .Name}}{{.Nome}}{{end}}`:                                                 true,
		`{{range .Items}}{{.Name}}{{end}}`:                                             true,
		`{{range .Items}}{{$.Items.Label}}{{end}}`:                                     true,
		`{{range .Name}}{{end}}`:                                                       true,
		`{{if false}}{{.Field "a"}}{{end}}`:                                            true,
		`{{if false}}{{.T}}{{end}}`:                                                    true,
		`{{if false}}{{.Name "x"}}{{end}}`:                                             true,
		`{{if false}}{{template "field" .Name}}{{end}}`:                                true,
		`{{if false}}{{template "no-such" .}}{{end}}`:                                  true,
		`{{with .Flash}}{{.Nothing}}{{end}}`:                                           true,
		`{{if false}}{{initials}}{{end}}`:                                              true,
	} {
		set := web.NewSet("slips", fstest.MapFS{"slip.html": {Data: []byte(`{{define "title"}}T{{end}}{{define "main"}}<h1>T</h1>` + body + `{{end}}`)}})
		web.Define(set, "slip", web.Desk, web.Sample("plain", SlipPage{}))
		found := set.Entries()[0].Check()
		if (len(found) > 0) != wrong {
			t.Errorf("%s: found %v", body, found)
		}
	}
}

func TestDefineRefuses(t *testing.T) {
	for name, define := range map[string]func(*web.Set){
		"no View":   func(s *web.Set) { web.Define(s, "x", web.Door, web.Sample("a", struct{ Name string }{})) },
		"no sample": func(s *web.Set) { web.Define[SlipPage](s, "x", web.Door) },
	} {
		func() {
			defer func() {
				if p := recover(); p == nil || !strings.Contains(p.(string), "x") {
					t.Errorf("%s: %v", name, p)
				}
			}()
			define(web.NewSet("s", fstest.MapFS{}))
		}()
	}
}
