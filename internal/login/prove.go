package login

import (
	"context"
	"errors"
	"slices"
	"time"

	"doorward/internal/activation"
	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/authn/spoken"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/secret"
)

// Prove is the only way evidence enters a flow: to prove a kind, or to enrol one, whichever the step asks for.
//
// Its phases are fixed:
//  1. load the flow for its browser, its person and what they hold;
//  2. is this expected now? The step decides, never the door;
//  3. reserve an attempt, committed before anything is compared;
//  4. verify, outside any transaction (a password hash must not hold the write lock);
//  5. in one transaction: recheck that nothing moved, spend single uses, record the evidence or the failure, store what
//     the method changed, audit;
//  6. compute the next step; when the goal is reached, mint or finish in the same transaction.
//
// With fault.Rejected the View is filled as well, for the page that is shown again. Other errors: fault.Expired
// "flow-over", fault.Conflict "not-expected" (another tab was faster) and "stale", fault.Throttled "too-many-attempts"
// and "factor-locked", fault.Unavailable when the hashing queue is full.
func (s *Service) Prove(ctx context.Context, c Caller, id string, a authn.Answer) (View, error) {
	m, ok := s.methods[a.Kind]
	if info, known := authn.Info(a.Kind); !ok || !known || !info.Held && !activation.Leads(a.Kind) {
		return View{}, fault.New(fault.Conflict, "not-expected") // links go through Follow
	}
	p := &proving{s: s, c: c, id: id, a: a, method: m, now: s.Clock()}
	if err := p.load(ctx); err != nil { // 1, 2
		return View{}, err
	}
	if err := s.Store.Write(ctx, p.reserve); err != nil { // 3
		return View{}, s.tripped(ctx, c, err, p.now, audit.Event{
			Person: p.who, Flow: id, Organization: p.st.person.Organization, Data: map[string]string{"kind": string(a.Kind)},
		})
	}
	for try := 0; ; try++ {
		if err := p.verify(ctx); err != nil { // 4
			// Nothing was compared. The caller may be gone; what they had reserved is given back all the same.
			return View{}, errors.Join(err, s.Store.Write(context.WithoutCancel(ctx), p.lane.release))
		}
		err := s.Store.Write(ctx, func(tx Tx) error { return p.record(ctx, tx) }) // 5, 6
		if err == nil {
			break
		}
		// A credential moved while it was being compared: another code of the same seed was accepted. Look again at what
		// is stored now; the reservation stands.
		if !errors.Is(err, errMoved) || try == 3 {
			return View{}, err
		}
		if err := p.load(ctx); err != nil {
			return View{}, err
		}
	}
	v, err := s.view(ctx, p.st)
	if err != nil {
		return View{}, err
	}
	v.Minted, v.Finished, v.Browser = p.minted, p.finished, p.Browser
	return v, p.outcome
}

// proving is one call of Prove.
type proving struct {
	s      *Service
	c      Caller
	id     string
	a      authn.Answer
	method authn.Method
	now    time.Time

	st     standing
	stored []authn.Credential // what is compared: the person's, or of whoever the typed address belongs to
	who    string             // whose those are, empty for nobody
	device string             // id of the known device, when it is one of that person
	bind   bool
	judged bool // bind is set
	typed  bool // a certificate shown here is of whoever's address was typed
	other  bool // it is not the one that the call in this flow followed
	lane   lane
	shown  authn.Shown

	verdict  error // the method's rejection, nil when the evidence held
	outcome  error // the rejection that is recorded and answered
	minted   *Minted
	finished bool
	// Browser is exported because fmt prints unexported fields without asking them to hide.
	Browser secret.Text
}

func (p *proving) load(ctx context.Context) error {
	return p.s.Store.Read(ctx, func(tx Tx) error {
		f, err := p.s.own(tx, p.c, p.id, p.now)
		if err != nil {
			return err
		}
		if p.st, err = p.s.stand(tx, f); err != nil {
			return err
		}
		if err := p.expected(p.st.step); err != nil {
			return err
		}
		p.who = f.Person
		p.stored = ofKind(p.st.creds, p.a.Kind)
		switch {
		case activation.Leads(p.a.Kind):
			p.stored, err = spoken.Stored(p.st.call)
			return err
		case p.a.Kind == authn.Cert:
			if err = p.presented(tx, f); err != nil {
				return err
			}
		case p.who == "":
			if p.who, p.stored, err = p.candidate(tx, f); err != nil {
				return err
			}
		}
		p.device, err = p.s.knownDevice(tx, p.c, p.who)
		return err
	})
}

// expected is phase 2. What was handed in as a proof never becomes a binding, nor the other way round, even when the step
// turns while it is compared: an old password would come back as a new one.
func (p *proving) expected(step authn.Step) error {
	bind := step.Accepts(authn.ActBind, p.a.Kind)
	if !bind && !step.Accepts(authn.ActProve, p.a.Kind) || p.judged && bind != p.bind {
		return fault.New(fault.Conflict, "not-expected")
	}
	p.bind, p.judged = bind, true
	if _, ok := p.method.(authn.Enroller); p.bind && !ok {
		return fault.New(fault.Conflict, "not-expected")
	}
	return nil
}

// knownDevice finds the id of the caller's device when it is one of that person.
func (s *Service) knownDevice(tx Tx, c Caller, person string) (string, error) {
	if c.Device == "" || person == "" {
		return "", nil
	}
	d, err := tx.DeviceByHash(tokenHash(c.Device))
	if fault.Of(err, fault.NotFound) || err == nil && (d.Realm != c.Realm || d.Person != person) {
		return "", nil
	}
	return d.ID, err
}

func (p *proving) reserve(tx Tx) (err error) {
	if p.bind {
		return binding(p.c).Take(tx, p.now)
	}
	p.lane, err = p.s.reserve(tx, p.c, p.st, p.a.Kind, p.stored, p.device, p.now)
	return err
}

// verify is phase 4. It returns an error only when the method itself failed; a rejection becomes the outcome.
func (p *proving) verify(ctx context.Context) error {
	var err error
	if p.bind {
		p.shown, err = p.method.(authn.Enroller).Enrol(ctx, p.st.flow, p.stored, p.a)
	} else {
		p.shown, err = p.method.Verify(ctx, p.st.flow, p.stored, p.a)
	}
	if p.verdict = nil; errors.Is(err, authn.ErrRejected) || p.bind && fault.Of(err, fault.Invalid) {
		p.verdict, err = err, nil
	}
	return err
}

// record is phases 5 and 6. It returns an error only when nothing was recorded. It may run more than once: a database
// that lost a race between transactions asks for it again.
func (p *proving) record(ctx context.Context, tx Tx) error {
	p.outcome, p.minted, p.finished, p.Browser = p.verdict, nil, false, ""
	f, err := p.s.own(tx, p.c, p.id, p.now)
	if err != nil {
		return err
	}
	if f.Version != p.st.flow.Version {
		return fault.New(fault.Conflict, "stale")
	}
	if p.outcome == nil && !p.bind {
		p.outcome = p.wrong(f)
	}
	for _, once := range p.shown.Spend {
		fresh, err := tx.Spend(string(p.a.Kind)+":"+once.Key, once.Expires)
		if err != nil {
			return err
		}
		if !fresh && p.outcome == nil {
			if p.outcome = p.shown.Replayed; p.outcome == nil {
				p.outcome = authn.Reject("code-used")
			}
		}
	}
	if p.st, err = p.s.stand(tx, f); err != nil {
		return err
	}
	if err := p.expected(p.st.step); err != nil {
		return err
	}
	if p.outcome != nil {
		return p.failed(ctx, tx)
	}
	if err := p.lane.release(tx); err != nil {
		return err
	}
	if p.bind {
		err = p.bound(tx)
	} else {
		err = p.proved(tx)
	}
	if err != nil {
		return err
	}
	return p.next(ctx, tx)
}

// keep stores what the method changed in a credential, and that it was used. A credential that ended, was suspended or
// moved since it was compared makes the whole call look again.
func (p *proving) keep(tx Tx, used bool) error {
	i := slices.IndexFunc(p.stored, func(c authn.Credential) bool { return c.ID == p.shown.Credential.ID })
	if i < 0 {
		return nil
	}
	c := p.stored[i]
	if p.shown.Changed {
		c.Data = p.shown.Credential.Data
	}
	if used {
		c.LastUsed = p.now
	}
	if c.Kind == authn.Cert {
		if !used {
			return nil
		}
		return movedOn(p.s.Certificates.Used(tx, p.st.realm, c, p.now)) // it has stopped living: look again
	}
	if err := tx.UpdateCredential(c); fault.Of(err, fault.Conflict) {
		return errMoved
	} else if err != nil {
		return err
	}
	return nil
}

// proved records evidence. The first evidence fixes the person (R2).
func (p *proving) proved(tx Tx) error {
	f := &p.st.flow
	if activation.Leads(p.a.Kind) {
		if err := tx.UseActivation(p.shown.Credential.ID, p.now); err != nil {
			return movedOn(err)
		}
	} else if err := p.keep(tx, true); err != nil {
		return err
	}
	f.Person = p.shown.Credential.Person
	f.Evidence = append(f.Evidence, authn.Evidence{Kind: p.a.Kind, Credential: p.shown.Credential.ID, At: p.now})
	f.Wrong, f.Open = 0, authn.Question{}
	if p.a.Kind == authn.Recovery {
		return p.spentCode(tx)
	}
	if p.shown.Changed && p.a.Kind == authn.Password {
		if err := tx.Audit(p.s.event(p.c, *f, "password.rehashed", audit.Event{Organization: p.st.person.Organization})); err != nil {
			return err
		}
	}
	return tx.Audit(p.s.event(p.c, *f, "evidence.shown", audit.Event{
		Organization: p.st.person.Organization, Data: map[string]string{"kind": string(p.a.Kind), "name": p.shown.Credential.Name},
	}))
}

// failed records a rejection: what the method wants burnt, learned or asked anew is stored all the same.
func (p *proving) failed(ctx context.Context, tx Tx) error {
	f := &p.st.flow
	if p.shown.Changed && !p.bind {
		if err := p.keep(tx, false); err != nil {
			return err
		}
	}
	f.Wrong++
	if p.shown.Question != nil {
		f.Open, f.Wrong = *p.shown.Question, 0
		f.Open.Kind, f.Open.Binding = p.a.Kind, p.bind
	}
	if !p.bind && f.Wrong >= maxWrong {
		f.State = authn.FlowVoid
		p.outcome = fault.New(fault.Rejected, "too-many-wrong").Because(p.outcome)
	}
	if err := p.s.save(tx, f); err != nil {
		return err
	}
	data := map[string]string{"kind": string(p.a.Kind)}
	if e := fault.As(p.outcome); e != nil {
		data["code"] = e.Code
	}
	event := audit.Event{Person: p.who, Actor: "anonymous", Data: data} // so that the owner and the desk see what was tried
	if f.Person != "" {
		event.Actor = f.Person
		event.Organization = p.st.person.Organization
	}
	kind := "signin.failed"
	switch {
	case data["code"] == "evidence-of-another":
		kind = "person.mismatch"
	case p.bind:
		kind = "enrol.failed"
	}
	p.s.Count("evidence", "kind", string(p.a.Kind), "result", "rejected")
	return tx.Audit(p.s.event(p.c, *f, kind, event))
}

// next is phase 6.
func (p *proving) next(ctx context.Context, tx Tx) (err error) {
	p.s.Count("evidence", "kind", string(p.a.Kind), "result", "accepted")
	if p.st, err = p.s.stand(tx, p.st.flow); err != nil {
		return err
	}
	if p.st.step.Reason == Blocked {
		if err := tx.Audit(p.s.event(p.c, p.st.flow, "signin.refused", audit.Event{
			Organization: p.st.person.Organization, Reason: string(Blocked),
		})); err != nil {
			return err
		}
	}
	p.minted, p.finished, p.Browser, err = p.s.arrive(ctx, tx, p.c, &p.st)
	return err
}

// arrive ends a flow whose goal is reached, or asks what comes next, and saves it.
func (s *Service) arrive(ctx context.Context, tx Tx, c Caller, st *standing) (m *Minted, finished bool, browser secret.Text, err error) {
	f := &st.flow
	if st.step.Act != authn.ActAdmit {
		if err := s.ask(ctx, tx, c, st); err != nil {
			return nil, false, "", err
		}
		return nil, false, "", s.save(tx, f)
	}
	f.State = authn.FlowDone
	if f.OneTime != "" {
		if err := s.spendLink(tx, *f); err != nil {
			return nil, false, "", err
		}
	}
	if f.Goal.Admit() {
		// The browser's secret changes hands at the rise: what was known before sign-in is worth nothing after it (SEC S-2).
		browser = secret.Text(secret.Token())
		f.Browser = s.browserHash(browser)
		if m, err = s.mint(tx, c, *st); err != nil {
			return nil, false, "", err
		}
	} else {
		finished = true
	}
	return m, finished, browser, s.save(tx, f)
}

// spendLink is where a link dies: with the last step of its flow, once. A flow that came in late finds it used.
func (s *Service) spendLink(tx Tx, f authn.Flow) error {
	for _, e := range f.Evidence {
		if e.Credential == f.OneTime {
			return tx.UseOneTime(f.OneTime, e.Kind, f.Now)
		}
	}
	return fault.New(fault.Conflict, "not-expected")
}

// disabled reports whether a person or their organization may not be let in.
func disabled(p directory.Person, o directory.Organization) bool {
	return p.State.Shut() || o.State.Shut()
}
