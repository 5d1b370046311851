package recoverymatrix

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"doorward/internal/activation"
	"doorward/internal/authn"
	"doorward/internal/helpdesk"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
)

// move is something that one of the attackers can do on a route.
type move struct {
	route string // pattern, or a word for what has none
	who   string
	what  string
	ends  bool // only takes something away: nothing new follows
	time  bool // time passes, nobody acts
	do    func(*stage)
}

func (m move) String() string { return strings.TrimSpace(m.who + " " + m.route + " " + m.what) }

// helps reports whether a move is on the way by which people are helped: what a quick search is left with.
func (m move) helps() bool {
	for _, route := range []string{
		"/help/request", "/console/people/invite", "/signin/resend", "/signin/code", "/enable", "/resend", "/edit", "/console/organizations", "/preferences", "/remind",
		"/account/security", "/account/certificates", "/account/sessions", "/account/applications", "/account/preferences", "/account/settings",
	} {
		if strings.Contains(m.route, route) {
			return false
		}
	}
	return !strings.Contains(m.what, " as ")
}

const thiefsPassword = "a thief's own password 12"

// moves is the alphabet in a state: for every route that is mounted, what the attackers can do there.
func (a *attack) moves(x *stage) (all []move) {
	for _, r := range x.Registry() {
		made, known := a.at(x, r)
		if !known {
			x.T.Fatalf("unlisted route: %s. Say in moves_test.go what an attacker can do there.", r)
		}
		for _, m := range made {
			if !a.quick || !m.ends && m.helps() {
				all = append(all, m)
			}
		}
	}
	if x.w.waits < len(a.waits) && (a.deep || x.granted()) {
		all = append(all, move{route: "wait", what: a.waits[x.w.waits].String(), time: true, do: func(x *stage) {
			x.Clock.Advance(a.waits[x.w.waits])
			x.w.waits++
			for _, name := range a.desk { // whose sessions are over by now
				x.signIn(name)
			}
		}})
	}
	return all
}

// at lists the moves on one route; known is false for a route nobody has thought about. Reading is no move: whoever looks
// at a page changes nothing, which TestSEC_Z2_LookingChangesNothing asks of every route.
func (a *attack) at(x *stage, r rig.Route) (all []move, known bool) {
	switch {
	case r.Method == "GET":
		return nil, true
	case strings.HasPrefix(r.Path, "/console/"):
		return a.atTheDesk(x, r), true
	case strings.HasPrefix(r.Path, "/account/"):
		return a.ownAccount(x, r), true
	case strings.HasPrefix(r.Path, "/signin/{flow}/"):
		return a.inFlows(x, r), true
	case strings.HasPrefix(r.Path, "/.well-known/est/"):
		return nil, true // of a device, with a secret that staff made for it or the certificate that it has
	case strings.HasPrefix(r.Path, "/oauth2/"), r.Path == "/pki/ocsp", strings.HasPrefix(r.Path, "/certificate-file/"), r.Path == "/language", r.Path == "/signout", r.Path == "/signin/strength":
		return nil, true // of the browser's own session, of an application with its own secret (see the matrix of tokens in internal/oidc), or a question about certificates
	}
	thief := func(what string, ends bool, do func(*stage)) {
		all = append(all, move{r.String(), "thief", what, ends, false, do})
	}
	victim := a.victim().Is.Address
	atFirst := a.deep || len(x.w.path) == 0
	switch r.Path {
	case "/signin":
		if !atFirst && !a.password && !a.totp && !a.codes && !a.cert && !x.bound(authn.Password) {
			break // nothing to show: such a flow ends where it begins, which the first step has seen
		}
		thief("", false, func(x *stage) { x.post("thief", "/signin", "email", victim, "username", victim, "address", victim) })
	case "/signin/forgot":
		if !a.deep && x.w.links["password"] != "" {
			break // another link instead of the one there is
		}
		thief("", !a.mailbox, func(x *stage) {
			x.post("thief", "/signin/forgot", "email", victim, "username", victim, "address", victim)
		})
	case "/signin/resend":
		if !atFirst {
			break // for who was active it is the same as having forgotten
		}
		thief("", !a.deep, func(x *stage) {
			x.post("thief", "/signin/resend", "email", victim, "username", victim, "address", victim)
		})
	case "/signin/code":
		for purpose, link := range x.w.links {
			if !a.alone(x) {
				break
			}
			thief(purpose, !a.deep, func(x *stage) { // the same secret, followed in the other way
				x.post("thief", "/signin/code", "code", link[strings.LastIndex(link, "/")+1:], "purpose", purpose)
			})
		}
	case "/link/{purpose}/{token}":
		for _, purpose := range []string{"set-up", "password", "recovery"} {
			link := x.w.links[purpose]
			if link == "" {
				continue
			}
			thief(purpose, false, func(x *stage) { x.post("thief", link) })
			for _, other := range []string{"set-up", "password", "recovery"} { // a secret for one purpose opens no other
				if other != purpose {
					thief(purpose+" as "+other, false, func(x *stage) { x.post("thief", strings.Replace(link, "/link/"+purpose+"/", "/link/"+other+"/", 1)) })
				}
			}
		}
	case "/requests/stop/{token}", "/not-me/{token}":
		prefix, _, _ := strings.Cut(r.Path, "{")
		for _, link := range x.w.stops {
			if strings.HasPrefix(link, rig.Origin+prefix) && a.alone(x) && (a.deep || len(x.w.path) < 3) {
				thief("", true, func(x *stage) { x.post("thief", link, "confirm", "yes") })
			}
		}
	case "/requests/confirm/{token}":
		// Its letter goes to who asked from a live session of their own (helpdesk Q9 to Q11); whoever has none gets none, see
		// TestSEC_H2_WhoHasPasswordAndMailboxAloneGetsNowhere. A token made up leads nowhere.
		if atFirst {
			thief("made up", true, func(x *stage) {
				x.post("thief", "/requests/confirm/01890a5d-ac96-774b-bcce-b302099a8058.0000000000000000000000000", "confirm", "yes")
			})
		}
	case "/help/request":
		if atFirst {
			thief("", len(a.desk) == 0, func(x *stage) { x.asks(victim, helpdesk.EverythingLost) })
		}
	case "/help/administrator":
		if atFirst {
			thief("", true, func(x *stage) { x.asks(victim, helpdesk.WhoHelps) })
		}
	default:
		return nil, false
	}
	return all, true
}

// alone reports whether the thief has nothing under way yet. What only takes away, or is refused, has nothing to do with
// that: a search that is not deep tries it here alone.
func (a *attack) alone(x *stage) bool { return a.deep || len(x.w.flows) == 0 && x.w.waits == 0 }

// wishes is how many of the wishes for help are tried: one factor and everything in a quick search, all in a deep one.
func (a *attack) wishes() int {
	switch {
	case a.deep:
		return 4
	case a.quick:
		return 2
	}
	return 3
}

// granted reports whether a request about the victim is approved: before that, waiting gains nothing.
func (x *stage) granted() bool {
	q, ok := x.live()
	return ok && q.State == helpdesk.Approved
}

// asks sends the form of somebody who is signed out.
func (x *stage) asks(address string, why helpdesk.Why) {
	proof := x.Proof()
	path := "/help/request"
	if why == helpdesk.WhoHelps {
		path = "/help/administrator"
	}
	x.post("thief", path, "address", address, "email", address, "why", string(why), "words", "I lost everything", "challenge", proof.Challenge, "answer", proof.Answer)
}

// everyField is what a form could ask for, so that a guard is what stops a move and not a missing field.
var everyField = []string{
	"reason", "Asked by phone, known for years", "reason-refuse", "Not the person it should be", "reason-answer", "Told them what to do", "reason-stop", "No longer needed at all",
	"name", "Taken Over", "version", "0", "kinds", "totp", "channel", "phone", "confirm", "yes", "password", thiefsPassword, "code", "123456", "kind", "password",
	"topic", "offers", "role", "administrator", "language", "en", "zone", "Europe/Zurich", "words", "nothing", "suspicious", "yes", "typed", "Nobody", "phone", "", "contact", "", "what", "factor",
}

// fields is everyField with some given otherwise.
func fields(pairs ...string) (all []string) {
	for i := 0; i+1 < len(everyField); i += 2 {
		if !slices.Contains(pairs, everyField[i]) {
			all = append(all, everyField[i], everyField[i+1])
		}
	}
	return append(all, pairs...)
}

// atTheDesk are the moves of those who do in the console as they are asked.
func (a *attack) atTheDesk(x *stage, r rig.Route) (all []move) {
	victim := a.victim().Is
	q, helped := x.live()
	var tickets []string
	if slices.Contains(r.Params(), "request") {
		tickets = x.tickets()
		if helped {
			tickets = append(tickets, q.ID)
		}
	}
	for i, name := range a.desk {
		add := func(what string, ends bool, values map[string]string, pairs ...string) {
			path, err := r.With(values)
			if err != nil {
				x.T.Fatal(err)
			}
			all = append(all, move{r.String(), name, what, ends, false, func(x *stage) { x.post(name, path, pairs...) }})
		}
		if strings.Contains(r.Path, "/certificates/") || strings.Contains(r.Path, "/managed") {
			continue // no authority signs in this realm, and nobody has one: nothing happens here
		}
		switch r.Path {
		case "/console/people/invite":
			if i > 0 || !a.alone(x) {
				continue
			}
			add("the victim's address", false, nil, fields("email", victim.Address, "name", "Somebody Else")...)
			continue
		case "/console/people/{person}/reset":
			if helped || i > 0 && !a.deep { // whoever opened it may not be the second: the first of two opens it
				if !a.alone(x) {
					continue
				}
			}
			for _, wish := range [][]string{{"totp"}, {"everything"}, {"password"}, {"totp", "password"}}[:a.wishes()] {
				pairs := []string{"reason", "Asked by phone, known for years", "channel", "phone"}
				for _, k := range wish {
					pairs = append(pairs, "kinds", k)
				}
				add(strings.Join(wish, "+"), false, map[string]string{"person": victim.ID}, pairs...)
				for _, ticket := range x.tickets() {
					add(strings.Join(wish, "+")+" on a ticket", false, map[string]string{"person": victim.ID}, append(pairs, "ticket", ticket)...)
				}
			}
			continue
		case "/console/people/{person}/role":
			for _, role := range []string{"member", "administrator", "agent", "owner"} {
				if role != "member" && (a.quick || !a.alone(x)) {
					continue
				}
				add(role, role != "member", map[string]string{"person": victim.ID}, fields("role", role, "version", x.personVersion())...)
			}
			continue
		case "/console/people/{person}/edit":
			if i == 0 && a.alone(x) && len(x.w.path) < 2 {
				add("the phone", false, map[string]string{"person": victim.ID}, fields("name", victim.Name, "phone", "+41 79 555 01 99", "version", x.personVersion())...)
			}
			continue
		case "/console/requests/{request}/check":
			for _, id := range tickets {
				for _, rule := range x.Realm.Requests.Strict().Checks {
					if !a.deep && (rule.Optional || i > 0) {
						continue
					}
					add(rule.ID, false, map[string]string{"request": id}, "rule", rule.ID, "result-"+rule.ID, "passed", "note-"+rule.ID, "They sounded right", "version", x.version(id))
				}
			}
			continue
		}
		ends := slices.ContainsFunc([]string{"/refuse", "/answer", "/stop", "/disable", "/sessions", "/suspend", "/withdraw", "/delete"}, func(s string) bool { return strings.HasSuffix(r.Path, s) })
		switch params := r.Params(); {
		case slices.Equal(params, []string{"person", "call"}):
			if !strings.HasSuffix(r.Path, "/reject") || a.alone(x) {
				all = append(all, a.onCalls(x, r, name)...)
			}
		case ends && (!a.alone(x) || i > 0 && !a.deep || len(x.w.path) > 2 && !a.deep):
		case len(params) == 0: // about nobody who is there
		case slices.Equal(params, []string{"organization"}):
			if i == 0 && a.alone(x) && len(x.w.path) == 0 {
				add("the victim's", true, map[string]string{"organization": victim.Organization}, fields()...)
			}
		case slices.Equal(params, []string{"person"}):
			add("", ends, map[string]string{"person": victim.ID}, fields()...)
		case slices.Equal(params, []string{"request"}):
			for _, id := range tickets {
				add("", ends, map[string]string{"request": id}, fields("version", x.version(id))...)
			}
		default:
			x.T.Fatalf("unlisted route: nobody knows what to put into %s. Say so in moves_test.go.", r)
		}
	}
	return all
}

// onCalls are the moves of somebody at the desk in a call: the thief reads out what their page shows.
func (a *attack) onCalls(x *stage, r rig.Route, name string) (all []move) {
	for _, call := range x.calls() {
		if !call.Live(x.Clock.Now()) {
			continue
		}
		path, err := r.With(map[string]string{"person": a.victim().Is.ID, "call": call.ID})
		if err != nil {
			x.T.Fatal(err)
		}
		all = append(all, move{r.String(), name, "", strings.HasSuffix(r.Path, "/reject"), false, func(x *stage) {
			code := ""
			for _, id := range x.w.flows {
				if shown := x.get("thief", "/signin/"+id).Text("activation-code"); shown != "" {
					code = shown
				}
			}
			x.post(name, path, fields("code", code, "version", strconv.FormatInt(call.Version, 10), "result-call-back", "passed", "note-call-back", "They sounded right")...)
		}})
	}
	return all
}

// calls are the codes that somebody was shown to read out as the victim, newest first.
func (x *stage) calls() (all []activation.Activation) {
	x.Read(func(tx *sqlstore.Tx) (err error) {
		all, err = tx.ActivationsOf(x.Realm.ID, x.a.victim().Is.ID, 5)
		return err
	})
	return all
}

func (x *stage) personVersion() (v string) {
	x.Read(func(tx *sqlstore.Tx) error {
		p, err := tx.Person(x.Realm.ID, x.a.victim().Is.ID)
		v = strconv.FormatInt(p.Version, 10)
		return err
	})
	return v
}

func (x *stage) version(request string) (v string) {
	x.Read(func(tx *sqlstore.Tx) error {
		q, err := tx.HelpRequest(x.Realm.ID, request)
		v = strconv.FormatInt(q.Version, 10)
		return err
	})
	return v
}

// ownAccount are the moves of those who are signed in, on their own account with the victim's ids.
func (a *attack) ownAccount(x *stage, r rig.Route) (all []move) {
	params := r.Params()
	if len(x.w.path) > 0 {
		return nil // nothing that happens to the victim gives anybody here more than they have at the beginning
	}
	for _, name := range append([]string{"thief"}, a.desk...) {
		if len(params) == 0 && name != "thief" {
			continue // about their own account alone
		}
		for i, id := range a.own {
			if len(params) == 0 && i > 0 {
				break
			}
			path, err := r.With(map[string]string{"client": "store", "credential": id, "session": id, "certificate": id})
			if err != nil {
				x.T.Fatalf("unlisted route: %v", err)
			}
			all = append(all, move{r.String(), name, "the victim's", false, false, func(x *stage) { x.post(name, path, fields()...) }})
		}
	}
	return all
}

// inFlows are the thief's moves on the pages of flows: every form that the step shows, filled with what they have.
func (a *attack) inFlows(x *stage, r rig.Route) (all []move) {
	suffix := strings.TrimPrefix(r.Path, "/signin/{flow}/")
	var open []string
	x.Read(func(tx *sqlstore.Tx) error {
		open = nil
		var kept []string
		for _, id := range x.w.flows {
			f, err := tx.Flow(x.Realm.ID, id)
			if err != nil || f.State != authn.FlowOpen {
				continue
			}
			s := string(f.Goal.Bind) + f.OneTime + f.Choice
			for _, e := range f.Evidence {
				s += string(e.Kind) + strconv.FormatBool(e.Bound)
			}
			if !slices.Contains(kept, s) {
				open, kept = append(open, id), append(kept, s)
			}
		}
		return nil
	})
	ends := suffix == "leave" || suffix == "decline" || suffix == "missing"
	if ends && !a.deep && len(x.w.path) > 2 {
		return nil
	}
	for i, id := range open {
		add := func(what string, do func(*stage)) {
			all = append(all, move{r.String(), "thief", strings.TrimSpace(what + " " + strconv.Itoa(i)), ends, false, do})
		}
		switch suffix {
		case "prove":
			add("as the page asks", func(x *stage) {
				page := x.get("thief", "/signin/"+id)
				if f := page.Form(); f != nil && x.fill(page, f) {
					x.submit("thief", f)
				}
			})
			for _, kind := range []string{"password", "totp"} { // what the page did not ask for
				if a.has(kind) {
					add(kind, func(x *stage) { x.post("thief", "/signin/"+id+"/prove", x.secretOf(kind)...) })
				}
			}
		case "code":
			add("", func(x *stage) {
				if f := x.get("thief", "/signin/"+id).FormTo("/code"); f != nil {
					x.submit("thief", f)
				}
			})
		case "missing": // only who has shown the password is asked
			if (a.password || x.bound(authn.Password)) && (a.deep || len(x.w.path) <= 2) {
				add("", func(x *stage) {
					if f := x.get("thief", "/signin/"+id+"/missing").FormTo("/missing"); f != nil {
						x.submit("thief", f)
					}
				})
			}
		case "choose":
			add("", func(x *stage) { x.post("thief", "/signin/"+id+"/choose", "authenticator", "google") })
		case "terms":
			add("", func(x *stage) {
				page := x.get("thief", "/signin/"+id)
				if f := page.FormTo("/terms"); f != nil {
					x.fill(page, f)
					x.submit("thief", f)
				}
			})
		default:
			add("", func(x *stage) {
				x.post("thief", "/signin/"+id+"/"+suffix, append(fields(), "email", a.victim().Is.Address)...)
			})
		}
	}
	return all
}

// has reports whether the thief came with a secret.
func (a *attack) has(kind string) bool {
	return kind == "password" && a.password || kind == "totp" && a.totp
}

func (x *stage) secretOf(kind string) []string {
	if kind == "password" {
		return []string{"kind", kind, "password", rig.Password}
	}
	return []string{"kind", kind, "code", x.code(x.a.victim().Mind.Secret)}
}

// code waits until an authenticator shows one that was not handed in.
func (x *stage) code(secret string) string {
	const step = 30
	for x.w.used >= x.Clock.Now().Unix()/step {
		x.Clock.Advance(step * 1e9)
	}
	x.w.used = x.Clock.Now().Unix() / step
	return walker.TOTP(secret, x.Clock.Now())
}

// fill writes what the thief has into a form; false where it asks for something else.
func (x *stage) fill(page *walker.Page, f *walker.Form) bool {
	if key := page.Text("totp-key"); key != "" {
		x.w.secret = strings.Join(strings.Fields(key), "")
	}
	if f.Values.Get("kind") == string(authn.Recovery) {
		if !x.a.codes {
			return false
		}
		f.Values.Set("code", x.cast.codes[0])
		return true
	}
	f.Fill("username", x.a.victim().Is.Address)
	f.Fill("email", x.a.victim().Is.Address)
	f.Fill("new-password", thiefsPassword)
	f.Fill("authenticator", "google")
	f.Fill("confirm", "yes")
	if f.Asks("current-password") {
		switch {
		case x.a.password:
			f.Fill("current-password", rig.Password)
		case x.bound(authn.Password):
			f.Fill("current-password", thiefsPassword)
		default:
			return false
		}
	}
	if f.Asks("one-time-code") {
		switch {
		case x.w.secret != "":
			f.Fill("one-time-code", x.code(x.w.secret))
		case x.a.totp:
			f.Fill("one-time-code", x.code(x.a.victim().Mind.Secret))
		default:
			return false
		}
	}
	return true
}

// bound reports whether a credential of the kind was added since the beginning.
func (x *stage) bound(kind authn.Kind) (yes bool) {
	x.Read(func(tx *sqlstore.Tx) error {
		creds, err := tx.Credentials(x.Realm.ID, x.a.victim().Is.ID)
		yes = slices.ContainsFunc(creds, func(c authn.Credential) bool {
			return c.Kind == kind && c.State == authn.Active && !slices.Contains(x.a.own, c.ID)
		})
		return err
	})
	return yes
}

// signIn brings somebody of the desk in again, in a new browser.
func (x *stage) signIn(name string) {
	x.w.jars[name] = jar{}
	mind := x.w.minds[name]
	mind.Now, mind.Wait = x.Clock.Now, x.Clock.Until
	c := x.browser(name)
	if err := enter(c, &mind); err != nil {
		x.T.Fatalf("%s signs in again: %v", name, err)
	}
	mind.Now, mind.Wait = nil, nil
	x.w.minds[name] = mind
	u, _ := url.Parse(rig.Origin)
	x.w.jars[name] = jar{}
	x.w.jars[name].SetCookies(u, c.HTTP.Jar.Cookies(u))
}
