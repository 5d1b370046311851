package console

import (
	"strings"

	"doorward/internal/admin"
	"doorward/internal/handover"
	"doorward/internal/helpdesk"
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
func (p PersonPage) Delivery(m mail.Message) Pill { return delivery(&p.View, m) }

func delivery(v *web.View, m mail.Message) Pill {
	tone := map[mail.State]string{mail.Sent: "ok", mail.Waiting: "info", mail.Failed: "bad"}[m.State]
	return Pill{tone, v.T("console.delivery." + string(m.State))}
}

// certificateState is how a certificate stands, in words.
func certificateState(v *web.View, s handover.Stand) Pill {
	tone := map[handover.Stand]string{
		handover.Sent: "info", handover.Late: "warn", handover.Left: "info", handover.Fetched: "info", handover.InUse: "ok", handover.OnHold: "warn",
	}[s]
	return Pill{tone, v.T("console.certificate.stand-" + string(s))}
}

// CertificateState is how one of the person's certificates stands.
func (p PersonPage) CertificateState(s handover.Stand) Pill { return certificateState(&p.View, s) }

// State is how the certificate stands.
func (p CertificatePage) State() Pill { return certificateState(&p.View, p.Stand) }

// Delivery is the state of the letter in words.
func (p CertificatePage) Delivery() Pill { return delivery(&p.View, p.Letter) }

// Delayed says that the letter could not be handed over yet, or never will be.
func (p CertificatePage) Delayed() bool {
	return p.Letter.State == mail.Failed || p.Letter.State == mail.Waiting && p.Letter.Attempts > 0
}

// Fingerprint is the SHA-256 of the certificate as people compare it: pairs, and a blank behind every fourth.
func (p CertificatePage) Fingerprint() string {
	var b strings.Builder
	for i := 0; i+8 <= len(p.Certificate.SHA256); i += 8 {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(p.Certificate.SHA256[i : i+8])
	}
	return b.String()
}

// lost names what a request is about: the kinds, or everything; what the form said where nobody has named it.
func lost(v *web.View, r helpdesk.Request) string {
	switch {
	case r.Everything:
		return v.T("console.why.everything")
	case len(r.Kinds) == 0:
		return v.T("console.why." + string(r.Why))
	}
	names := make([]string, len(r.Kinds))
	for i, k := range r.Kinds {
		names[i] = v.T("event.kind." + string(k))
	}
	return strings.Join(names, ", ")
}

// Lost names what a request is about.
func (p InboxPage) Lost(r helpdesk.Request) string { return lost(&p.View, r) }

// Lost names what a request is about.
func (p RequestPage) Lost(r helpdesk.Request) string { return lost(&p.View, r) }

// Lost names what a request is about.
func (p PersonPage) Lost(r helpdesk.Request) string { return lost(&p.View, r) }

// Pill is the status of the person in words.
func (p RequestPage) Pill(s Status) Pill { return pill(&p.View, s) }

// Waits says what a request waits for, or how it ended.
func (p RequestPage) Waits(i admin.Item) Pill { return waits(&p.View, i) }

// Ended says how an earlier request ended, or that it has not.
func (p RequestPage) Ended(r helpdesk.Request) Pill {
	return waits(&p.View, admin.Item{Request: r, Waits: "over"})
}

// Ended says how an earlier request ended, or that it has not.
func (p PersonPage) Ended(r helpdesk.Request) Pill {
	return waits(&p.View, admin.Item{Request: r, Waits: "over"})
}

// Missing names the checks that have to pass first.
func (p RequestPage) Missing() string {
	var names []string
	for _, c := range p.Checks {
		if c.Missing {
			names = append(names, c.Name.For(p.Lang))
		}
	}
	return strings.Join(names, ", ")
}

// Result is how a check went, in words.
func (p RequestPage) Result(c helpdesk.Check) Pill {
	tone := map[helpdesk.Result]string{helpdesk.Passed: "ok", helpdesk.Failed: "bad"}[c.Result]
	return Pill{tone, p.T("console.result." + string(c.Result))}
}

// Frozen says that somebody with a notice in hand froze the account, and that it is still shut.
func (p RequestPage) Frozen() bool { return p.Case.Who.State.Shut() }

// Refused is the newest earlier request about the person that was refused, nil for none: whoever decides now has to know.
func (p RequestPage) Refused() *helpdesk.Request {
	for i, e := range p.Case.Earlier {
		if e.State == helpdesk.Refused {
			return &p.Case.Earlier[i]
		}
	}
	return nil
}
