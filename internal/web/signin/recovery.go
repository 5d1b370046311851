package signin

import (
	"net/http"

	"doorward/internal/authn"
	"doorward/internal/authn/recovery"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/web"
)

// RecoveryPage asks for a recovery code. It replaces what was lost; it lets nobody in.
type RecoveryPage struct {
	web.View
	Flow    string
	Address string
	Code    string
	Alone   bool // the person may go on without a code and without help, after a day
	Found   bool // the flow began as a sign-in, and goes on as one when what was lost is found
}

var recoveryPage = web.Define(Pages, "recovery", web.Door,
	web.Sample("plain", RecoveryPage{Flow: "f", Address: "a.sample@northline.example", Found: true}),
	web.Sample("signed in", RecoveryPage{View: web.View{Step: 2, Of: 3}, Flow: "f", Address: "a.sample@northline.example", Alone: true}),
	web.Sample("used", RecoveryPage{Flow: "f", Address: "a.sample@northline.example", Code: "7K2M-9QXD-4TRB-0VWA"}).With(authn.Reject("recovery-used").In("code")),
	web.Sample("wrong", RecoveryPage{Flow: "f", Address: "a.sample@northline.example", Code: "7K2M-9QXD-4TRB-0VWB"}).With(authn.Reject("recovery-wrong").In("code")),
	web.Sample("format", RecoveryPage{Flow: "f", Address: "a.sample@northline.example", Code: "7K2M"}).With(authn.Reject("recovery-format").In("code")))

func (d *Door) showRecovery(w http.ResponseWriter, r *http.Request, v login.View, in typed, err error) error {
	web.KeepAsking(w, v.Flow.Address)
	return answer(recoveryPage, w, r, RecoveryPage{
		View: wizard(v), Flow: v.Flow.ID, Address: v.Flow.Address, Code: in.code, Alone: v.Alone, Found: v.Flow.Session == "" && v.Flow.OneTime == "",
	}, err)
}

// lose goes on with a recovery code, find goes back to the sign-in.
func (d *Door) lose(w http.ResponseWriter, r *http.Request) error { return d.turn(w, r, false) }
func (d *Door) find(w http.ResponseWriter, r *http.Request) error { return d.turn(w, r, true) }

func (d *Door) turn(w http.ResponseWriter, r *http.Request, found bool) error {
	v, err := d.Logins.Lose(r.Context(), caller(r), r.PathValue("flow"), found)
	if f := fault.As(err); f != nil && f.Code == "no-recovery-codes" {
		web.Flash(w, r, "warn", "signin.recovery.none")
		return web.Redirect(w, r, "/signin/"+r.PathValue("flow"))
	}
	if err != nil {
		return d.again(w, r, typed{}, err)
	}
	return d.next(w, r, v)
}

// SheetPage shows new recovery codes, until the person says that they keep them.
type SheetPage struct {
	web.View
	Flow  string
	Leave string
	recovery.Sheet
}

var sampleSheet = recovery.Sheet{Mark: "m", Codes: []string{
	"7K2M-9QXD-4TRB-0VWA", "C3HN-51ZE-8PYG-6JSM", "Q0TD-XV7B-2KRW-94EA", "M6PC-3GZH-Y18N-5SJT", "0BVR-7WQ4-DXK9-E2MG",
	"8ZNY-H1JP-6CS3-TA5V", "4XKD-R9QW-0GBM-7E2H", "TJ3S-5YNZ-P8C1-6VAX", "9RWG-2MDK-4QHB-E70Z", "1SNC-8VTY-J5XP-3A6R"}}

var sheetPage = web.Define(Pages, "sheet", web.Door,
	web.Sample("plain", SheetPage{Flow: "f", Leave: "stop", Sheet: sampleSheet}),
	web.Sample("not kept", SheetPage{Flow: "f", Sheet: sampleSheet}).With(fault.New(fault.Invalid, "recovery-not-kept").In("kept")),
	web.Sample("another", SheetPage{Flow: "f", Sheet: sampleSheet}).With(authn.Reject("recovery-other")))

func (d *Door) showSheet(w http.ResponseWriter, r *http.Request, v login.View, _ typed, err error) error {
	s, ok := recovery.Read(v.Question)
	if !ok {
		return d.showStuck(w, r, v, "no-page", nil)
	}
	return answer(sheetPage, w, r, SheetPage{View: wizard(v), Flow: v.Flow.ID, Leave: leaving(v), Sheet: s}, err)
}

// sheet is the codes that are shown now as a text file. Nothing leaves the browser, and nobody else is asked.
func (d *Door) sheet(w http.ResponseWriter, r *http.Request) error {
	v, err := d.Logins.Look(r.Context(), caller(r), r.PathValue("flow"))
	if err != nil {
		return d.gone(w, r, err)
	}
	s, ok := recovery.Read(v.Question)
	if !ok || !v.Step.Accepts(authn.ActBind, authn.Recovery) {
		return web.Redirect(w, r, path(v))
	}
	known(r, v)
	visit := web.From(r)
	text := visit.T("signin.sheet.file", "realm", v.Realm.Name, "address", v.Flow.Address, "origin", v.Realm.Origin) + "\r\n\r\n"
	for _, c := range s.Codes {
		text += c + "\r\n"
	}
	return web.WriteText(w, "recovery-codes-"+v.Realm.ID+".txt", text)
}

// alone asks for a way back without anybody's help: the mailbox has to confirm it, and then a day has to pass.
func (d *Door) alone(w http.ResponseWriter, r *http.Request) error {
	c := caller(r)
	who, lost, err := d.Logins.Bereft(r.Context(), c, r.PathValue("flow"))
	if err != nil {
		return d.again(w, r, typed{}, err)
	}
	q, err := d.Alone(r.Context(), login.By{Signed: who, Network: c.Network, Agent: c.Agent}, lost)
	if err != nil {
		return d.again(w, r, typed{}, err)
	}
	web.Flash(w, r, "ok", "signin.alone.sent", "number", q.Number)
	return web.Redirect(w, r, account+"/security")
}
