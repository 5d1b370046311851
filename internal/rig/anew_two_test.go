package rig

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	authority "doorward/internal/certify"
	"doorward/internal/directory"
	"doorward/internal/keyfile"
	"doorward/internal/pki"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// Two sign-ins of one person, both behind their call: neither has what the other made, what is made later revokes what was made
// before, a hold that was lifted meanwhile ends both, and a file is made five times at most. A contact who has left is not told.
func TestREQ_A54_TwoSignInsAtOnce(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		p := newPortal(t, store)
		ctx := t.Context()
		cleo, old := p.enters("Cleo Client", "cleo@moser.example")
		held := authority.Changed{Realm: p.Realm.ID, ID: p.on(cleo, old).ID, By: authority.Operator}
		p.must(p.Certs.Suspend(ctx, held))
		one, two := p.Browser("198.51.100.77"), p.Browser("198.51.100.78")
		first, second := p.anew(cleo, one), p.anew(cleo, two)
		makes := func() error {
			_, err := p.Renewals.Make(ctx, p.caller(two), flowOf(second), keyfile.Linux)
			return err
		}
		fresh := p.file(one, p.press(one, first, "/anew/make", "target", "linux"))
		stranger := p.Browser("198.51.100.79")
		p.at(stranger, cleo.Is.Address)
		for _, got := range p.tries(stranger, first) {
			want(t, "a browser without the sign-in", got, "flow-over")
		}
		_, err := p.Renewals.SayAnew(ctx, p.caller(two), flowOf(second))
		want(t, "the password of the other", word(err), "not-found")
		if got := p.again(two, second); got.FormTo("/anew/make") == nil {
			t.Errorf("the other's is shown: %q", got.Main())
		}
		shown, err := p.with(two, fresh).Submit(&walker.Form{Action: Origin + "/signin/" + flowOf(second) + "/certificate", Method: http.MethodPost, Values: url.Values{"try": {"0"}}})
		p.must(err)
		if c := p.on(cleo, fresh); strings.HasPrefix(shown.URL.Path, "/signin/done") || c.State != pki.Pending {
			t.Errorf("shown in the other it is %s", c.State)
		}

		want(t, "the other makes one", word(makes()), "ok")
		want(t, "twice", word(makes()), "certificate-succeeded")
		if c := p.on(cleo, fresh); c.State != pki.Revoked {
			t.Errorf("what was made before is %s", c.State)
		}
		p.must(p.Renewals.Withdraw(ctx, p.caller(two), flowOf(second)))
		p.must(p.Certs.Resume(ctx, held))
		want(t, "beside one that lives", word(makes()), "certificate-other")
		p.must(p.Certs.Suspend(ctx, held))
		for range keyfile.Tries - 1 {
			want(t, "again", word(makes()), "ok")
			p.must(p.Renewals.Withdraw(ctx, p.caller(two), flowOf(second)))
		}
		want(t, "for the sixth time", word(makes()), "too-many-attempts")

		p.Write(func(tx *sqlstore.Tx) error {
			karl, err := tx.Person(p.Realm.ID, p.karl.Is.ID)
			if err != nil {
				return err
			}
			karl.State = directory.Disabled
			return tx.UpdatePerson(karl)
		})
		p.Deliver()
		fresh = p.file(one, p.press(one, p.again(one, first), "/anew/make", "target", "linux"))
		if page := p.shows(p.with(one, fresh), p.again(one, first)); !strings.HasPrefix(page.URL.Path, "/signin/done") {
			t.Fatalf("the first goes on: %s %q", page.URL, page.Main())
		}
		if letters := p.Deliver(); len(to(letters, cleo, "factor-replaced")) != 1 || len(to(letters, p.karl, "certificate-renewed-console")) != 0 {
			t.Error("its owner is not told, or a contact who has left is")
		}
	})
}
