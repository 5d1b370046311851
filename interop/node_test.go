package interop

import "testing"

// npm's openid-client (OpenID certified, by the author of oauth4webapi), in Node with its own fetch.
func TestREQ_B70_OpenIDClientForNode(t *testing.T) {
	t.Parallel()
	s := open(t)
	for _, scenario := range []string{
		"code", "refreshIntrospectRevoke", "signOut", "secretPost", "publicClient", "machine", "privateKey", "pushed", "dpop", "strict", "signed", "device", "stepUp", "silent",
	} {
		t.Run(scenario, func(t *testing.T) {
			t.Parallel()
			s.node(t, "openid-client", scenario)
		})
	}
}

// What openid-client must refuse, it refuses: it does look (SEC O-3, O-8).
func TestSEC_O3_O8_OpenIDClientForNodeNotices(t *testing.T) {
	t.Parallel()
	s := open(t)
	for _, scenario := range []string{"wrongState", "wrongNonce", "wrongIssuer", "wrongVerifier"} {
		t.Run(scenario, func(t *testing.T) {
			t.Parallel()
			s.node(t, "openid-client", scenario)
		})
	}
}

// npm's oauth4webapi, step by step; it is also the API that is handed access tokens, bound to a key or not.
func TestREQ_B70_SEC_O3_O8_OAuth4WebAPI(t *testing.T) {
	t.Parallel()
	s := open(t)
	for _, scenario := range []string{"code", "notices", "resourceServer", "signedIntrospection", "strict", "signed"} {
		t.Run(scenario, func(t *testing.T) {
			t.Parallel()
			s.node(t, "oauth4webapi", scenario)
		})
	}
}

func (s *site) node(t *testing.T, client, scenario string) map[string]any {
	t.Helper()
	return s.play(t, s.signedIn(t), "node", "node/"+client+".mjs", scenario)
}
