package server

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// The list for operators and the metrics are the same.
func TestMetricsAreDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	var listed, real []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(doorward_[a-z_]+)`").FindAllStringSubmatch(string(text), -1) {
		listed = append(listed, m[1])
	}
	descriptions := make(chan *prometheus.Desc)
	go func() { NewMetrics().Registry.Describe(descriptions); close(descriptions) }()
	for d := range descriptions {
		if m := regexp.MustCompile(`fqName: "(doorward_[a-z_]+)"`).FindStringSubmatch(d.String()); m != nil {
			real = append(real, m[1])
		}
	}
	slices.Sort(listed)
	slices.Sort(real)
	if len(real) < 8 || !slices.Equal(listed, real) {
		t.Errorf("documented:\n%q\nthere are:\n%q", listed, real)
	}
}
