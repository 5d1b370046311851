package tomlfile

import (
	"slices"
	"strings"
	"testing"
)

type node struct {
	Server struct {
		Listen string   `toml:"listen"`
		Plain  bool     `toml:"plain"`
		Peers  []string `toml:"peers"`
		Inside struct {
			N int `toml:"n"`
		} `toml:"inside"`
	} `toml:"server"`
	Hidden string `toml:"-"`
	hidden string //nolint:unused // shows that unexported fields are left alone
}

func TestOverride(t *testing.T) {
	var n node
	bad := Override(&n, "X", []string{
		"PATH=/bin", "X_SERVER_LISTEN=:1=2", "X_SERVER_PLAIN=true", "X_SERVER_PEERS=a, b,,c", "X_SERVER_INSIDE_N=7", "X_TEST=1", "XY_SERVER_LISTEN=no",
	}, "X_TEST")
	if len(bad) > 0 || n.Server.Listen != ":1=2" || !n.Server.Plain || !slices.Equal(n.Server.Peers, []string{"a", "b", "c"}) || n.Server.Inside.N != 7 {
		t.Errorf("%v %+v", bad, n)
	}
	bad = Override(&n, "X", []string{"X_SERVER_LISTN=:1", "X_SERVER_PLAIN=s3cret", "X_SERVER_INSIDE_N=s3cret", "X_HIDDEN=1", "X_SERVER=1"})
	if len(bad) != 5 || strings.Contains(bad.Error(), "s3cret") {
		t.Errorf("%v", bad)
	}
	if n.hidden != "" || n.Hidden != "" {
		t.Error("hidden fields were set")
	}
	want := []string{"server.listen", "server.plain", "server.peers", "server.inside.n"}
	if got := Keys(n); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
