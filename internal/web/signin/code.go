package signin

import (
	"net/http"
	"time"

	"doorward/internal/authn"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/selfservice"
	"doorward/internal/web"
)

// CodePage asks for a code from an authenticator.
type CodePage struct {
	web.View
	Flow    string
	Address string
	With    string
	Name    string // of the authenticator, when only one is meant
	Code    string
	Wait    *NextCode // the code shown now was used
	First   bool      // the first sign-in after set-up
	Reset   bool
	Others  bool
	Codes   bool // recovery codes would help
	Missing bool // it can be said to be lost
}

// NextCode is when an authenticator shows a code that was not used yet.
type NextCode struct {
	Until   int64         // Unix ms
	Left    time.Duration // the same in words
	Seconds int
	Dash    int // what is left of the ring, of 100
}

// period is how long most authenticators show a code. It only draws the ring.
const period = 30 * time.Second

func nextCode(now time.Time, wait time.Duration) *NextCode {
	if wait <= 0 {
		return nil
	}
	wait = (wait + time.Second - 1).Truncate(time.Second)
	return &NextCode{
		Until: now.Add(wait).UnixMilli(), Left: wait, Seconds: int(wait / time.Second),
		Dash: min(100, int(100*wait/period)),
	}
}

var sampleWait = nextCode(web.SampleTime, 12*time.Second)

var codePage = web.Define(Pages, "code", web.Door,
	web.Sample("plain", CodePage{Flow: "f", Address: "a.sample@northline.example", Name: "Work phone", Others: true}),
	web.Sample("with recovery codes", CodePage{Flow: "f", Address: "a.sample@northline.example", Name: "Work phone", Others: true, Codes: true, Missing: true}),
	web.Sample("several", CodePage{Flow: "f", Address: "a.sample@northline.example"}),
	web.Sample("first", CodePage{View: web.View{Step: 4, Of: 6}, Flow: "f", Address: "a.sample@northline.example", Name: "Work phone", First: true, Wait: sampleWait}),
	web.Sample("change", CodePage{View: web.View{Step: 1, Of: 2}, Flow: "f", Address: "a.sample@northline.example", Reset: true}),
	web.Sample("used", CodePage{Flow: "f", Address: "a.sample@northline.example", Code: "482 917", Wait: sampleWait}).With(authn.Reject("code-used", "seconds", 12).In("code")),
	web.Sample("format", CodePage{Flow: "f", Address: "a.sample@northline.example", Code: "48 29"}).With(fault.New(fault.Invalid, "code-format", "digits", 6).In("code")),
	web.Sample("wrong", CodePage{Flow: "f", Address: "a.sample@northline.example", Code: "111111"}).With(authn.Reject("code-wrong").In("code")),
	web.Sample("fast", CodePage{Flow: "f", Address: "a.sample@northline.example", Code: "111111"}).With(clock(authn.Reject("code-clock", "seconds", 94, "direction", "fast").In("code"))),
	web.Sample("too often", CodePage{Flow: "f", Address: "a.sample@northline.example", Code: "111111"}).With(fault.New(fault.Throttled, "too-many-attempts", "minutes", 12).After(12*time.Minute)))

func (d *Door) showCode(w http.ResponseWriter, r *http.Request, v login.View, in typed, err error) error {
	_, way := pick(v, in.with)
	web.KeepAsking(w, v.Flow.Address)
	return answer(codePage, w, r, CodePage{
		View: wizard(v), Flow: v.Flow.ID, Address: v.Flow.Address, With: in.with, Name: way.Name, Code: in.code,
		Wait: nextCode(web.From(r).Now, v.Wait), First: setUp(v), Reset: !v.Flow.Goal.Admit(), Others: others(v), Codes: v.Codes,
		Missing: len(selfservice.Missing(v)) > 0,
	}, clock(err))
}

// clock turns what the clock doctor found into a message of its own, since "fast" and "slow" are words of a language.
func clock(err error) error {
	f := fault.As(err)
	if f == nil {
		return err
	}
	direction, ok := f.Args["direction"].(string)
	if !ok {
		return err
	}
	c := *f
	c.Code += "-" + direction
	return &c
}
