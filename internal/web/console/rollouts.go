package console

import (
	"net/http"
	"time"

	"doorward/internal/login"
	"doorward/internal/rollout"
	"doorward/internal/web"
)

// RolloutsPage says for every roll-out and organization who is ready (REQ B84).
type RolloutsPage struct {
	web.View
	Rows []RolloutRow
}

// RolloutRow is a roll-out in one organization.
type RolloutRow struct {
	ID, Name                         string
	OrganizationID, Organization     string
	From, Until                      time.Time
	Phase                            string // planned, grace, over
	Ready, Able, Stranded, Sets, Put int
}

// RolloutPage lists who is not ready in one organization.
type RolloutPage struct {
	web.View
	Row    RolloutRow
	People []Waiting
	More   bool
	Most   int
}

// Waiting is somebody who is not ready.
type Waiting struct {
	ID, Name, Address string
	Readiness         rollout.Readiness
	Delays            int
}

var sampleRollout = RolloutRow{ID: "codes", Name: "A second step at every sign-in", OrganizationID: "1", Organization: "Sample Works Ltd", From: sampleTime, Until: sampleTime.AddDate(0, 0, 14), Phase: "grace", Ready: 40, Able: 7, Stranded: 2, Sets: 1, Put: 5}

var rolloutsPage = web.Define(Pages, "rollouts", web.Console,
	web.Sample("some", RolloutsPage{View: sampleView, Rows: []RolloutRow{sampleRollout, {ID: "codes", Name: "A second step at every sign-in", OrganizationID: "2", Organization: "Muster Metallbau und Maschinenfabrik AG", From: sampleTime.AddDate(0, 1, 0), Until: sampleTime.AddDate(0, 2, 0), Phase: "planned", Able: 120}}}),
	web.Sample("none", RolloutsPage{View: sampleView}))

var rolloutPage = web.Define(Pages, "rollout", web.Console,
	web.Sample("some", RolloutPage{View: sampleView, Row: sampleRollout, Most: rollout.ListMost, More: true, People: []Waiting{
		{ID: "1", Name: "Anna Sample", Address: "a.sample@sampleworks.example", Readiness: rollout.Stranded, Delays: 3},
		{ID: "2", Name: "Dora Muster", Address: "d.muster@sampleworks.example", Readiness: rollout.Able},
		{ID: "3", Name: "Emil Template", Address: "e.template@sampleworks.example", Readiness: rollout.SetsUp}}}),
	web.Sample("everybody ready", RolloutPage{View: sampleView, Row: RolloutRow{Name: "A second step at every sign-in", Organization: "Sample Works Ltd", From: sampleTime, Until: sampleTime.AddDate(0, 0, 14), Phase: "over"}}))

func rolloutRow(v *web.Visit, r rollout.Row) RolloutRow {
	out := RolloutRow{
		ID: r.Due.Rollout.ID, Name: r.Due.Rollout.Name.For(v.Lang), OrganizationID: r.Organization.ID, Organization: r.Organization.Name,
		From: r.Due.From, Until: r.Due.Until, Phase: "planned", Put: r.Delays,
		Ready: r.Count[rollout.Ready], Able: r.Count[rollout.Able], Stranded: r.Count[rollout.Stranded], Sets: r.Count[rollout.SetsUp],
	}
	switch {
	case r.Due.Over(v.Now):
		out.Phase = "over"
	case r.Due.Grace(v.Now):
		out.Phase = "grace"
	}
	return out
}

func (d *Door) rollouts(w http.ResponseWriter, r *http.Request, by login.By) error {
	v, in := web.From(r), r.URL.Query()
	frame, err := d.view(r, by, "/console/rollouts")
	if err != nil {
		return err
	}
	if in.Get("rollout") == "" {
		rows, err := d.Rollouts.Report(r.Context(), by.Person, by.Realm.Realm, by.Realm.Policies)
		if err != nil {
			return err
		}
		p := RolloutsPage{View: frame}
		for _, one := range rows {
			p.Rows = append(p.Rows, rolloutRow(v, one))
		}
		return rolloutsPage.Show(w, r, p)
	}
	one, people, more, err := d.Rollouts.List(r.Context(), by.Person, by.Realm.Realm, by.Realm.Policies, in.Get("rollout"), in.Get("organization"))
	if err != nil {
		return err
	}
	p := RolloutPage{View: frame, Row: rolloutRow(v, one), More: more, Most: rollout.ListMost}
	p.Back = "/console/rollouts"
	for _, s := range people {
		p.People = append(p.People, Waiting{ID: s.ID, Name: s.Name, Address: s.Address, Readiness: s.Readiness, Delays: s.Delays})
	}
	return rolloutPage.Show(w, r, p)
}
