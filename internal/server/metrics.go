package server

import (
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Metrics are the numbers an operator watches. The list is docs/metrics.md; a test compares the two. Labels have few
// values: never a name, an address, a path or anything a visitor can choose.
type Metrics struct {
	Registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	dropped  *prometheus.CounterVec
	refused  *prometheus.CounterVec
	counts   map[string]*prometheus.CounterVec
	labels   map[string][]string
	gauges   map[string]*gauge
}

// counted are the counters other rooms raise by name, with their labels.
var counted = []struct {
	name, help string
	labels     []string
}{
	{"signin", "Sign-ins that ended with a session.", []string{"result"}},
	{"evidence", "Evidence that was shown, by kind and whether it held.", []string{"kind", "result"}},
	{"certificate_shown", "Browsers that came by the host for certificates: with some, with none, with a ticket that was over.", []string{"result"}},
	{"certificate_twice", "Certificates that were in use in two browsers at once.", []string{}},
	{"limiter", "Evidence that was not looked at because of too many attempts.", []string{"kind"}},
	{"throttled", "Requests that were refused because of too many, by message code.", []string{"code"}},
	{"hashing_refused", "Password hashes that were refused because the queue was full.", []string{}},
	{"mail", "Mails by what became of them, and by template.", []string{"result", "template"}},
	{"authorization", "Authorization requests of applications by how they ended: code, or the error of OAuth.", []string{"result"}},
	{"client_request", "Requests of applications to the token endpoint and beside it: issued, or the error of OAuth.", []string{"result"}},
	{"client_keys", "Key sets of applications fetched from their jwks_uri, by whether they could be read.", []string{"result"}},
	{"recovery_code", "Sheets of recovery codes that were made, and codes of them that were used, by how many are left after it.", []string{"what", "left"}},
	{"request", "Requests for help by what became of them (asked, opened, seconded, approved, refused, cancelled, confirmed, answered, alarmed, frozen, filled) and why they were made.", []string{"what", "why"}},
	{"rollout", "What roll-outs did: mails (announced, soon, last) and sign-ins that put the set-up off (put-off).", []string{"what"}},
	{"exemption", "Exemptions by what became of them: proposed, started, used (a sign-in that nothing else explains), ended.", []string{"what"}},
	{"activation", "Calls in which a person reads a code, by what became of them (asked, opened, matched, mismatched, ended, seconded, confirmed, rejected, locked) and kind.", []string{"what", "kind"}},
	{"token_reuse", "Codes and refresh tokens that came a second time: what they had given was ended.", []string{"why"}},
	{"device_grant", "Devices that asked to be connected, by how far they came: asked, wrong-code, allowed, denied, fetched.", []string{"result"}},
	{"forward_auth_checks", "Questions of proxies about requests to guarded applications, by answer.", []string{"result"}},
	{"certificate", "Certificates of devices by what became of them (issued, suspended, resumed, revoked), and CRLs that were made.", []string{"what"}},
	{"certificate_renewal", "Certificates that their owners renew, by how far they came (made, anew, confirmed, said, fetched, given-up), and reminders that were written.", []string{"what"}},
	{"enrolment", "Certificates that managed devices ask for by themselves, by what happened (offered, withdrawn, enrolled, reenrolled, again, refused).", []string{"what"}},
	{"parcel", "Files with a certificate and its key on their way, and what staff did with certificates, by what happened (sent, fetched, said, signed, refused, lost, withdrawn, held, resumed).", []string{"event"}},
	{"logout_delivery", "Applications told that a session ended, by whether they took it.", []string{"result"}},
	{"job", "Runs of periodic work, by name and result.", []string{"name", "result"}},
}

// NewMetrics makes the registry and every metric in it.
func NewMetrics() *Metrics {
	m := &Metrics{
		Registry: prometheus.NewRegistry(), counts: map[string]*prometheus.CounterVec{}, labels: map[string][]string{}, gauges: map[string]*gauge{},
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "doorward_requests_total", Help: "Answered requests, by door and class of status.",
		}, []string{"door", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "doorward_request_seconds", Help: "Time to answer, by door.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"door"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "doorward_edge_headers_dropped_total", Help: "Headers only a proxy may send that came from elsewhere, or that nobody may send.",
		}, []string{"header"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "doorward_refused_total", Help: "Requests refused before any door: unknown host, wrong connection, certificate that cannot be read, panic.",
		}, []string{"why"}),
	}
	m.Registry.MustRegister(m.requests, m.seconds, m.dropped, m.refused,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, c := range counted {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "doorward_" + c.name + "_total", Help: c.help}, c.labels)
		m.Registry.MustRegister(v)
		m.counts[c.name], m.labels[c.name] = v, c.labels
	}
	for _, g := range measured {
		measure := &gauge{desc: prometheus.NewDesc("doorward_"+g.name, g.help, []string{"realm"}, nil)}
		m.Registry.MustRegister(measure)
		m.gauges[g.name] = measure
	}
	return m
}

// Count raises a counter by one; pairs are label and value in any order. An unknown counter or a wrong label is a mistake
// in the program and panics in the first test that meets it.
func (m *Metrics) Count(name string, pairs ...string) {
	v, ok := m.counts[name]
	if !ok {
		panic("server: no counter " + name)
	}
	values := make([]string, len(m.labels[name]))
	for i := 0; i+1 < len(pairs); i += 2 {
		at := slices.Index(m.labels[name], pairs[i])
		if at < 0 {
			panic("server: counter " + name + " has no label " + pairs[i])
		}
		values[at] = strings.ToValidUTF8(pairs[i+1], "?")
	}
	v.WithLabelValues(values...).Inc()
}
