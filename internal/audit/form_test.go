package audit

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// leafOfSample was computed by another program.
const leafOfSample = "CqPm503aEMMSD4Ig6FGU7WrL4t1QxC4o+JAx5irx1ts="

// The encoding is a promise to trails that exist: these bytes and this hash never change.
func TestEncodingIsStable(t *testing.T) {
	e := Event{ID: "i", Realm: "r", At: time.UnixMilli(1), Type: "t", Actor: "a", Person: "p", Organization: "o", Session: "s", Flow: "f",
		Network: "n", Browser: "b", Reason: "re", Data: map[string]string{"b": "2", "a": "1"}}
	want := hex.EncodeToString([]byte("doorward event 1\n")) +
		"0000000169" + "0000000172" + "0000000000000001" + "0000000174" + "0000000161" + "0000000170" + "000000016f" + "0000000173" +
		"0000000166" + "000000016e" + "0000000162" + "000000027265" + "00000002" + "0000000161" + "0000000131" + "0000000162" + "0000000132"
	if got := hex.EncodeToString(Encode(e)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := LeafHash(e).String(); got != leafOfSample {
		t.Errorf("leaf hash %s", got)
	}
	e.At = e.At.In(time.FixedZone("x", 3600)).Add(999 * time.Microsecond)
	if got := LeafHash(e).String(); got != leafOfSample {
		t.Error("zone or microseconds, which the store does not keep, change the leaf")
	}
}

func TestEncodingCoversEveryField(t *testing.T) {
	base := LeafHash(Event{})
	typ := reflect.TypeFor[Event]()
	for i := range typ.NumField() {
		var e Event
		f := reflect.ValueOf(&e).Elem().Field(i)
		switch f.Interface().(type) {
		case string:
			f.SetString("x")
		case time.Time:
			f.Set(reflect.ValueOf(start))
		case map[string]string:
			f.Set(reflect.ValueOf(map[string]string{"": ""}))
		default:
			t.Fatalf("%s: how is it encoded?", typ.Field(i).Name)
		}
		if LeafHash(e) == base {
			t.Errorf("%s is not in the leaf", typ.Field(i).Name)
		}
	}
}

func TestEncodingIsInjective(t *testing.T) {
	word := rapid.SampledFrom([]string{"", "a", "b", "ab", "\x00", "\x00\x00\x00\x01", "ba"})
	gen := rapid.Custom(func(t *rapid.T) Event {
		return Event{ID: word.Draw(t, "id"), Realm: word.Draw(t, "realm"), Network: word.Draw(t, "network"), Browser: word.Draw(t, "browser"), Reason: word.Draw(t, "reason"),
			Data: rapid.MapOfN(word, word, 1, 3).Draw(t, "data")}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := gen.Draw(t, "a"), gen.Draw(t, "b")
		if reflect.DeepEqual(a, b) != (LeafHash(a) == LeafHash(b)) {
			t.Fatalf("%+v and %+v", a, b)
		}
	})
}

func TestTypesAreSortedAndNamed(t *testing.T) {
	if !slices.IsSortedFunc(Types, func(a, b Type) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("TypeOf needs them sorted")
	}
	for i, x := range Types {
		if i > 0 && Types[i-1].Name == x.Name {
			t.Errorf("%s twice", x.Name)
		}
		subject, verb, ok := strings.Cut(x.Name, ".")
		if !ok || subject == "" || verb == "" || strings.Trim(subject+verb, "abcdefghijklmnopqrstuvwxyz-") != "" {
			t.Errorf("%q is no subject.verb", x.Name)
		}
		if got, ok := TypeOf(x.Name); !ok || got != x {
			t.Errorf("%s is not found", x.Name)
		}
	}
	if _, ok := TypeOf("nothing.happened"); ok {
		t.Error("found what is not listed")
	}
}

func TestFileAnchor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "anchor")
	a := &File{Path: path}
	if last, err := a.Last(t.Context()); last != "" || err != nil {
		t.Errorf("%q, %v", last, err)
	}
	tr, seq, _, v := grown(t, 25)
	seq.Anchors = []Anchor{a}
	for i := range 3 {
		tr.events = append(tr.events, event(25+i))
		if err := seq.Checkpoint(t.Context(), event(25+i).At); err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	// A power cut tears the last line; the next one starts afresh and nothing before it changes.
	if err := os.WriteFile(path, append(before, `{"note":"doorw`...), 0o600); err != nil {
		t.Fatal(err)
	}
	b := &File{Path: path}
	if last, err := b.Last(t.Context()); err != nil || last != tr.heads[len(tr.heads)-1].Note {
		t.Errorf("%q, %v", last, err)
	}
	tr.events = append(tr.events, event(28))
	seq.Anchors = []Anchor{b}
	if err := seq.Checkpoint(t.Context(), event(28).At); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(string(after), string(before)) {
		t.Errorf("the anchor did not only grow: %v", err)
	}
	notes, torn, err := ReadAnchor(strings.NewReader(string(after)))
	if err != nil || torn != 1 || len(notes) != 4 {
		t.Fatalf("%d notes, %d torn, %v", len(notes), torn, err)
	}
	if r := verify(t, tr, v, notes); !r.OK() || r.Proven != 29 {
		t.Errorf("%+v", r)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := (&File{Path: filepath.Join(path, "x")}).Put(t.Context(), "n"); err == nil {
		t.Error("put into nowhere")
	}

	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			if err := b.Put(t.Context(), tr.heads[0].Note); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if all, err := os.ReadFile(path); err != nil || strings.Count(string(all), "\n") != 4+1+64 {
		t.Errorf("lines were lost or mixed: %v", err)
	}
}

func TestAProofSurvivesJSON(t *testing.T) {
	tr, _, _, v := grown(t, 20)
	p, err := Prove(tr, 7)
	if err != nil {
		t.Fatal(err)
	}
	js, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var back Proof
	if err := json.Unmarshal(js, &back); err != nil || back.Check(v) != nil {
		t.Errorf("%v, %v", err, back.Check(v))
	}
}

func FuzzReadCheckpoint(f *testing.F) {
	tr, _, _, v := grown(f, 20)
	f.Add(tr.heads[0].Note)
	f.Add("doorward-audit\n1\n\ntime \n\n— doorward-audit AAAA\n")
	f.Fuzz(func(t *testing.T, in string) {
		c, err := ReadCheckpoint(in, v)
		if err == nil && c.Note != tr.heads[0].Note && c.Note != tr.heads[1].Note && (c.Root != tr.heads[0].Root && c.Root != tr.heads[1].Root) {
			t.Errorf("read %q", in)
		}
		text, _, _ := strings.Cut(in, "\n\n")
		if c, err := readText(text + "\n"); err == nil && c.Size < 0 {
			t.Errorf("size %d", c.Size)
		}
	})
}

func FuzzReadAnchor(f *testing.F) {
	f.Add([]byte(`{"note":"x"}` + "\n{\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		notes, torn, err := ReadAnchor(strings.NewReader(string(in)))
		if err == nil && len(notes)+torn > strings.Count(string(in), "\n")+1 {
			t.Errorf("%d notes and %d torn lines", len(notes), torn)
		}
	})
}
