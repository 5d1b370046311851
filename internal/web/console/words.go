package console

import (
	"doorward/internal/mail"
	"doorward/internal/web"
)

// Pill is a status in words.
type Pill struct{ Tone, Text string }

func pill(v *web.View, s Status) Pill {
	if s.Time.IsZero() {
		return Pill{s.Tone, v.T(s.Key)}
	}
	return Pill{s.Tone, v.T(s.Key, "time", v.Ago(s.Time))}
}

// second names the authenticators a person has, by their names or by their kind.
func second(v *web.View, r Row) []string {
	if len(r.Factors) > 0 {
		return r.Factors
	}
	var out []string
	for _, k := range r.Kinds {
		out = append(out, v.T("event.kind."+string(k)))
	}
	return out
}

// Pill is the status of a row in words.
func (p PeoplePage) Pill(s Status) Pill { return pill(&p.View, s) }

// Second names a person's authenticators.
func (p PeoplePage) Second(r Row) []string { return second(&p.View, r) }

// Pill is the status of the person in words.
func (p PersonPage) Pill(s Status) Pill { return pill(&p.View, s) }

// Second names the person's authenticators.
func (p PersonPage) Second(r Row) []string { return second(&p.View, r) }

// Delivery is the state of a mail in words.
func (p PersonPage) Delivery(m mail.Message) Pill {
	tone := map[mail.State]string{mail.Sent: "ok", mail.Waiting: "info", mail.Failed: "bad"}[m.State]
	return Pill{tone, p.T("console.delivery." + string(m.State))}
}
