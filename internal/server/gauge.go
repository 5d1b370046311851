package server

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// measured are the numbers that are asked for when somebody looks, by realm.
var measured = []struct{ name, help string }{
	{"authority_left_seconds", "Time until the authority that signs certificates of devices ends, by realm; negative where there is none any more."},
	{"crl_age_seconds", "Age of the oldest certificate revocation list that is published, by realm."},
}

// gauge asks for its numbers at every look.
type gauge struct {
	desc  *prometheus.Desc
	value atomic.Pointer[func() map[string]float64]
}

// Describe implements prometheus.Collector.
func (g *gauge) Describe(to chan<- *prometheus.Desc) { to <- g.desc }

// Collect implements prometheus.Collector.
func (g *gauge) Collect(to chan<- prometheus.Metric) {
	if ask := g.value.Load(); ask != nil {
		for realm, v := range (*ask)() {
			to <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, v, realm)
		}
	}
}

// Measure says where a number comes from: value answers by realm, without those of which it is not known. An unknown name is
// a mistake in the program and panics in the first test that meets it.
func (m *Metrics) Measure(name string, value func() map[string]float64) {
	g, ok := m.gauges[name]
	if !ok {
		panic("server: no gauge " + name)
	}
	g.value.Store(&value)
}
