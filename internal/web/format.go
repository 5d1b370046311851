package web

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Times and numbers as people write them in the four languages. The tables are ours and small: CLDR's long date, a
// 24-hour clock, and Swiss grouping of digits.

var months = map[string][12]string{
	"en": {"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"},
	"de": {"Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November", "Dezember"},
	"fr": {"janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"},
	"it": {"gennaio", "febbraio", "marzo", "aprile", "maggio", "giugno", "luglio", "agosto", "settembre", "ottobre", "novembre", "dicembre"},
}

// dayMonth writes "3 March", "3. März", "1er mars", "1º marzo".
func dayMonth(lang string, t time.Time) string {
	d, m := t.Day(), months[lang][t.Month()-1]
	switch {
	case lang == "de":
		return fmt.Sprintf("%d. %s", d, m)
	case lang == "fr" && d == 1:
		return "1er " + m
	case lang == "it" && d == 1:
		return "1º " + m
	}
	return fmt.Sprintf("%d %s", d, m)
}

func sameDay(a, b time.Time) bool {
	ay, am, ad := a.Date()
	by, bm, bd := b.Date()
	return ay == by && am == bm && ad == bd
}

// Day is the date: "today", "yesterday", "3 March" within this year, else "3 March 2026".
func (v *Visit) Day(t time.Time) string {
	if t.IsZero() {
		return v.T("base.never")
	}
	t, now := t.In(v.Zone), v.Now.In(v.Zone)
	switch {
	case sameDay(t, now):
		return v.T("base.today")
	case sameDay(t, now.AddDate(0, 0, -1)):
		return v.T("base.yesterday")
	case t.Year() == now.Year():
		return dayMonth(v.Lang, t)
	}
	return v.Date(t)
}

// Date is the whole date, "3 March 2026", for what is kept or printed.
func (v *Visit) Date(t time.Time) string {
	t = t.In(v.Zone)
	return dayMonth(v.Lang, t) + " " + strconv.Itoa(t.Year())
}

// MonthOf is the month of a moment where that moment says it is: "November 2026".
func (v *Visit) MonthOf(t time.Time) string {
	return months[v.Lang][t.Month()-1] + " " + strconv.Itoa(t.Year())
}

// Clock is the time of day, "09:41".
func (v *Visit) Clock(t time.Time) string { return t.In(v.Zone).Format("15:04") }

// Time is day and time: "today, 09:41", "3 March 2026, 08:55".
func (v *Visit) Time(t time.Time) string {
	if t.IsZero() {
		return v.T("base.never")
	}
	return v.T("base.day-time", "day", v.Day(t), "time", v.Clock(t))
}

// Exact is date, time and zone, for evidence: "21 November 2026, 10:16 (Europe/Zurich)".
func (v *Visit) Exact(t time.Time) string {
	return v.T("base.day-time", "day", v.Date(t), "time", v.Clock(t)) + " (" + v.Zone.String() + ")"
}

// Machine is for the datetime attribute.
func (v *Visit) Machine(t time.Time) string { return t.In(v.Zone).Format(time.RFC3339) }

// Ago says how long ago: "just now", "5 minutes ago", "2 hours ago", "3 days ago"; from 14 days on the day.
func (v *Visit) Ago(t time.Time) string {
	d := v.Now.Sub(t)
	switch {
	case t.IsZero():
		return v.T("base.never")
	case d < time.Minute:
		return v.T("base.just-now")
	case d < 48*time.Hour:
		return v.T("base.ago", "time", v.Span(d))
	case d < 14*24*time.Hour:
		return v.T("base.days-ago", "n", int(d/(24*time.Hour)))
	}
	return v.Day(t)
}

// Span is a length of time in its largest units: "12 seconds", "7 min 42 s", "2 hours", "3 days".
func (v *Visit) Span(d time.Duration) string {
	s := int((d + time.Second - 1) / time.Second)
	switch {
	case s < 60:
		return v.T("base.seconds", "n", max(s, 0))
	case s < 600 && s%60 != 0:
		return v.T("base.minutes-seconds", "m", s/60, "s", s%60)
	case s < 3600:
		return v.T("base.minutes", "n", s/60)
	case s < 48*3600:
		return v.T("base.hours", "n", s/3600)
	}
	return v.T("base.days", "n", s/86400)
}

func millis(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// Number groups the digits of a whole number as the language does.
func (v *Visit) Number(n int64) string {
	group := map[string]string{"en": ",", "de": "’", "fr": "\u202f", "it": "’"}[v.Lang]
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "−", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + group + digits[i:]
	}
	return sign + digits
}
