package password

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"doorward/internal/authn"
	"doorward/internal/authn/password/dictionary"
	"doorward/internal/fault"
)

var update = flag.Bool("update", false, "write common.list anew")

// makeCommon is the generator of common.list.
func makeCommon(t testing.TB) ([]byte, int) {
	t.Helper()
	var all []string
	for _, list := range dictionary.Lists() {
		all = append(all, list...)
	}
	slices.Sort(all)
	var out bytes.Buffer
	n, err := BuildList(strings.NewReader(strings.Join(all, "\n")), &out)
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), n
}

func TestTheCommonListIsWhatItsGeneratorMakes(t *testing.T) {
	made, n := makeCommon(t)
	if *update {
		if err := os.WriteFile("common.list", made, 0o644); err != nil {
			t.Fatal(err)
		}
		return // the program still holds the old one
	}
	kept, err := os.ReadFile("common.list")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(made, kept) {
		t.Fatalf("common.list is not what its generator makes: go test -run %s -update", t.Name())
	}
	if n < 90_000 || len(dictionary.Lists()["passwords"]) != 30_000 {
		t.Errorf("%d words, %d passwords", n, len(dictionary.Lists()["passwords"]))
	}
	if common().Len() != uint64(n) {
		t.Errorf("the list says %d, made of %d", common().Len(), n)
	}
}

// mostCommon reads the ranking that zxcvbn itself was made from; it is not what common.list was made from.
func mostCommon(t testing.TB, n int) []string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/trustelem/zxcvbn").Output()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(strings.TrimSpace(string(dir)), "data", "passwords.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var words []string
	lines := bufio.NewScanner(f)
	for lines.Scan() && len(words) < n {
		words = append(words, strings.Fields(lines.Text())[0])
	}
	if len(words) != n {
		t.Fatalf("%d of %d words", len(words), n)
	}
	return words
}

func TestSEC_K3_TheThreeThousandMostCommonAreRefused(t *testing.T) {
	m := newMethod(Config{})
	missing := 0
	for _, word := range mostCommon(t, 3000) {
		for _, p := range []string{word, strings.ToUpper(word)} {
			if _, err := m.Enrol(context.Background(), authn.Flow{Realm: "shop"}, nil, authn.Answer{Text: p}); !errors.Is(err, authn.ErrRejected) || !fault.Of(err, fault.Invalid) {
				t.Errorf("%q is taken: %v", p, err)
			}
		}
		if !common().Contains(word) {
			missing++
		}
	}
	if missing > 0 {
		t.Errorf("%d of the 3000 are not in the built-in list", missing)
	}
	if m.Runs() != 0 {
		t.Errorf("refusing cost %d hashes", m.Runs())
	}
}

// Most common passwords are shorter than 12: the rule alone would refuse them. These are not.
func TestSEC_K3_LongCommonOnesAreRefusedAsCommon(t *testing.T) {
	m := newMethod(Config{})
	found := 0
	for _, word := range mostCommon(t, 30_000) {
		if len(word) < Floor.Length {
			continue
		}
		found++
		for _, p := range []string{word, strings.ToUpper(word[:1]) + word[1:]} {
			if f := fault.As(m.Check("shop", authn.Subject{}, p)); f == nil || f.Code != "password-common" && f.Code != "password-weak" {
				t.Errorf("%q: %v", p, f)
			}
		}
	}
	if found < 150 {
		t.Errorf("only %d long ones: the test shows little", found)
	}
	for _, p := range []string{"constitutional", "CONSTITUTIONAL", "unbelievable", "Grandchildren"} {
		wantCode(t, m.Check("shop", authn.Subject{}, p), "password-common")
	}
}
