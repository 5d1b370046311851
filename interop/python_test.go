package interop

import "testing"

// Debian's Authlib with requests: what it finds by discovery, it validates by its own rules.
func TestREQ_B70_SEC_O3_Authlib(t *testing.T) {
	t.Parallel()
	s := open(t)
	for _, scenario := range []string{"code", "notices", "signatures", "machine"} {
		t.Run(scenario, func(t *testing.T) {
			t.Parallel()
			s.play(t, s.signedIn(t), "/usr/bin/python3", "-B", "python/authlib_client.py", scenario)
		})
	}
}
