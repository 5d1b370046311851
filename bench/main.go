// Command bench measures what the product costs, as multiples of a floor server in the same run (see docs/performance.md).
// It drives the built programs bin/doorward and bin/floor on loopback, prints a table, and writes bench/results.json.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// rounds of every measurement; the median counts.
const rounds = 5

// result is one row of the table.
type result struct {
	Row    string  `json:"row"` // of PERFORMANCE: the number of the path
	Path   string  `json:"path"`
	Floor  float64 `json:"floor,omitempty"`
	Ours   float64 `json:"ours"`
	Unit   string  `json:"unit"`
	Ratio  float64 `json:"ratio,omitempty"`
	Target string  `json:"target"`
	Holds  bool    `json:"holds"`
}

func main() {
	out := flag.String("out", "bench/results.json", "where to write the results")
	bin := flag.String("bin", "bin", "folder of the programs doorward and floor")
	rows := flag.String("row", "", "rows to measure, by their numbers and with commas between; empty for all, and only then are the results written")
	issues := flag.String("issuer", "", "be the server of row 10 instead, in this folder")
	flag.Parse()
	if *issues != "" {
		fmt.Fprintln(os.Stderr, "bench:", serveIssuer(*issues))
		os.Exit(1)
	}
	if err := run(*bin, *out, *rows); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(bin, out, rows string) error {
	asked := func(row string) bool { return rows == "" || slices.Contains(strings.Split(rows, ","), row) }
	work, err := os.MkdirTemp("", "doorward-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	floor, err := startFloor(filepath.Join(bin, "floor"), filepath.Join(work, "floor"))
	if err != nil {
		return err
	}
	defer floor.stop()
	node, err := newSite(filepath.Join(bin, "doorward"), filepath.Join(work, "site"))
	if err != nil {
		return err
	}
	defer node.stop()

	var results []result
	for _, m := range []struct {
		rows    []string
		measure func(*floorServer, *site) ([]result, error)
	}{
		{[]string{"13", "14"}, footprint},
		{[]string{"1", "2", "4", "5", "6"}, func(f *floorServer, s *site) ([]result, error) { return provider(f, s, asked) }},
		{[]string{"7"}, sessionCheck},
		{[]string{"8"}, signIn},
		{[]string{"9"}, storm},
		{[]string{"10"}, issuing},
		{[]string{"11", "12"}, func(f *floorServer, s *site) ([]result, error) { return revocation(f, s, asked) }},
	} {
		if !slices.ContainsFunc(m.rows, asked) {
			continue
		}
		rows, err := m.measure(floor, node)
		for _, r := range rows {
			fmt.Println(line(r))
		}
		if err != nil {
			return err
		}
		results = append(results, rows...)
	}
	if rows != "" {
		return nil
	}
	report := struct {
		At      time.Time `json:"at"`
		Go      string    `json:"go"`
		Cores   int       `json:"cores"`
		Results []result  `json:"results"`
	}{time.Now().UTC().Truncate(time.Second), runtime.Version(), runtime.NumCPU(), results}
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, append(text, '\n'), 0o644)
}

func line(r result) string {
	mark := "  "
	if !r.Holds {
		mark = "!!"
	}
	floor, ratio := "", ""
	if r.Floor > 0 {
		floor, ratio = fmt.Sprintf("%10.1f", r.Floor), fmt.Sprintf("%6.2fx", r.Ratio)
	}
	return fmt.Sprintf("%s %-3s %-62s %10s %10.1f %-8s %7s  target %s", mark, r.Row, r.Path, floor, r.Ours, r.Unit, ratio, r.Target)
}

// compared is a row that is measured against the floor.
func compared(row, path string, floor, ours time.Duration, most float64) result {
	us := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
	r := result{Row: row, Path: path, Floor: us(floor), Ours: us(ours), Unit: "us CPU", Target: fmt.Sprintf("<= %.2fx", most)}
	r.Ratio = r.Ours / r.Floor
	r.Holds = r.Ratio <= most
	return r
}

// atMost is a row with a figure of its own.
func atMost(row, path string, ours float64, unit string, most float64) result {
	return result{Row: row, Path: path, Ours: ours, Unit: unit, Target: fmt.Sprintf("<= %.0f %s", most, unit), Holds: ours <= most}
}

// atLeast is its opposite.
func atLeast(row, path string, ours float64, unit string, least float64) result {
	return result{Row: row, Path: path, Ours: ours, Unit: unit, Target: fmt.Sprintf(">= %.0f %s", least, unit), Holds: ours >= least}
}

type floorServer struct {
	*process
	client *http.Client
}

const floorURL = "https://floor.localhost"

func startFloor(bin, dir string) (*floorServer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	p, err := start(bin, "-dir", dir)
	if err != nil {
		return nil, err
	}
	var address string
	if _, err = p.ready(func() bool {
		b, err := os.ReadFile(filepath.Join(dir, "address"))
		address = strings.TrimSpace(string(b))
		return err == nil
	}); err != nil {
		return nil, err
	}
	pool, err := roots(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return nil, err
	}
	return &floorServer{p, client(pool, address)}, nil
}

func request(method, address, body string, cookie string) *http.Request {
	req, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		panic(err) // the addresses are constants of this program
	}
	if cookie != "" {
		req.AddCookie(&http.Cookie{Name: "__Host-session", Value: cookie})
	}
	return req
}
