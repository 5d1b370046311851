package recoverymatrix

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/rig"
	"doorward/internal/sqlstore"
)

// attack is one search: who tries, against whom, and how long.
type attack struct {
	name     string
	cast     *cast
	against  string   // name of the victim
	whom     []string // victims that it is tried on, far; empty: all
	mailbox  bool     // reads and clicks what is mailed to the victim
	totp     bool     // has the phone with the authenticator, or the laptop with the extension
	password bool     // knows the password
	codes    bool     // has the sheet of recovery codes
	cert     bool     // has the device with its certificate
	laptop   bool     // has a browser that the victim has signed in with
	desk     []string // do in the console what the attackers ask
	waits    []time.Duration
	depth    int
	deep     bool                        // follows also what only takes away, and tries in every state what is tried in one otherwise
	quick    bool                        // only the moves by which people are helped, so that it gets further
	weak     func(*rig.Rig) http.Handler // takes a guard away from the program; nil: it is as it is

	on  *ground
	own []string // credentials and sessions of the victim before anything happened
}

func (a *attack) victim() *rig.Somebody { return a.cast.people[a.against] }

// found is what a search has come to.
type found struct {
	states, edges, moves int
	routes               map[string]int // moves that were made on each route
	holes                []string
	silent               []string
}

// search goes through everything the attackers can do, breadth first, until nothing new comes or the depth is reached. It
// stops at the first hole unless all is set.
func (a *attack) search(t *testing.T, all bool) (f found) {
	t.Helper()
	f.routes = map[string]int{}
	a.on = a.cast.ground(t)
	root := a.cast.root.clone()
	if a.laptop {
		root.jars["thief"] = jar{"__Host-device": root.jars[a.against]["__Host-device"]}
	}
	x := a.stage(t, root)
	a.possess(x)
	start := x.facts()
	seen := map[string]bool{start.canon: true}
	queue := []*world{x.freeze()}
	for len(queue) > 0 {
		w := queue[0]
		queue = queue[1:]
		f.states++
		x := a.stage(t, w)
		before := x.facts()
		for _, m := range a.moves(x) {
			if x == nil {
				x = a.stage(t, w)
			}
			f.moves++
			x.w.path = append(x.w.path, m.String())
			m.do(x)
			after := x.facts()
			if after.canon == before.canon && after.about == before.about {
				x.w.path = x.w.path[:len(x.w.path)-1]
				continue
			}
			told := x.deliver()
			after = x.facts()
			f.edges++
			f.routes[m.who+" "+m.route]++
			at := strings.Join(x.w.path, " > ")
			if after.told != before.told && told == 0 {
				f.silent = append(f.silent, fmt.Sprintf("%s: no mail, though %q became %q", at, before.told, after.told))
			}
			if after.about != before.about && after.event == before.event && !m.time {
				f.silent = append(f.silent, fmt.Sprintf("%s: nothing in the trail, though %q became %q", at, before.about, after.about))
			}
			if len(after.lost) > 0 {
				f.holes = append(f.holes, fmt.Sprintf("%s: %s", at, strings.Join(after.lost, ", ")))
				if !all {
					return f
				}
			}
			if seen[after.canon] || len(after.lost) > 0 || len(x.w.path) >= a.depth || m.ends && !a.deep {
				x = nil
				continue
			}
			seen[after.canon] = true
			queue = append(queue, x.freeze())
			x = nil
		}
	}
	return f
}

// possess notes what is the victim's own.
func (a *attack) possess(x *stage) {
	a.own = nil
	x.Read(func(tx *sqlstore.Tx) error {
		a.own = nil
		creds, err := tx.Credentials(x.Realm.ID, a.victim().Is.ID)
		if err != nil {
			return err
		}
		for _, c := range creds {
			if c.State != authn.Ended {
				a.own = append(a.own, c.ID)
			}
		}
		certs, err := tx.CertificatesOf(x.Realm.ID, a.victim().Is.ID, 20)
		if err != nil {
			return err
		}
		for _, c := range certs {
			a.own = append(a.own, c.ID)
		}
		sessions, err := tx.Sessions(x.Realm.ID, a.victim().Is.ID)
		for _, s := range sessions {
			a.own = append(a.own, s.ID)
		}
		return err
	})
}
