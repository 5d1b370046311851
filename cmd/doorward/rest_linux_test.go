package main

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// Nothing is given back but clean, read-only pages of the program itself: anything else would be lost for good.
func TestOnlyCleanPagesOfTheProgramAreGivenBack(t *testing.T) {
	const smaps = `00400000-00500000 r-xp 00000000 08:01 42                         /srv/my door/doorward
Rss:                1024 kB
Anonymous:             0 kB
00500000-00600000 r--p 00100000 08:01 42                         /srv/my door/doorward
Anonymous:             8 kB
00600000-00700000 rw-p 00200000 08:01 42                         /srv/my door/doorward
Anonymous:             0 kB
00700000-00800000 rw-p 00000000 00:00 0
Anonymous:             0 kB
00800000-00900000 r--p 00000000 08:01 43                         /srv/my door/doorward.db
Anonymous:             0 kB
00900000-00a00000 r--p 00300000 08:01 42                         /srv/my door/doorward
Anonymous:             0 kB
zz-00a00000 r--p 00300000 08:01 42                         /srv/my door/doorward
Anonymous:             0 kB
`
	want := []mapping{{0x400000, 0x500000}, {0x900000, 0xa00000}}
	if got := cleanMappings(strings.NewReader(smaps), "/srv/my door/doorward"); !slices.Equal(got, want) {
		t.Errorf("%x", got)
	}
	if got := cleanMappings(strings.NewReader(smaps), ""); got != nil {
		t.Errorf("of no file: %x", got)
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if len(cleanMappings(f, executable())) == 0 {
		t.Error("this program has no clean mapping: nothing would be given back")
	}
}
