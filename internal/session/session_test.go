package session_test

import (
	"slices"
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/session"
)

func TestSEC_S3_RealmsMayOnlyShorten(t *testing.T) {
	for _, c := range []struct {
		in      directory.SessionLimits
		trusted bool
		want    session.Limits
	}{
		{directory.SessionLimits{}, false, session.Limits{Idle: 30 * time.Minute, Absolute: 12 * time.Hour}},
		{directory.SessionLimits{}, true, session.Limits{Idle: 15 * time.Minute, Absolute: 12 * time.Hour}},
		{directory.SessionLimits{Idle: 10, Absolute: 60, StaffIdle: 5, StaffAbsolute: 30}, false, session.Limits{Idle: 10 * time.Minute, Absolute: time.Hour}},
		{directory.SessionLimits{Idle: 10, Absolute: 60, StaffIdle: 5, StaffAbsolute: 30}, true, session.Limits{Idle: 5 * time.Minute, Absolute: 30 * time.Minute}},
		{directory.SessionLimits{Idle: 1 << 40, Absolute: -5, StaffIdle: 16, StaffAbsolute: 721}, false, session.Limits{Idle: 30 * time.Minute, Absolute: 12 * time.Hour}},
		{directory.SessionLimits{Idle: 31, StaffIdle: 16, StaffAbsolute: 721}, true, session.Limits{Idle: 15 * time.Minute, Absolute: 12 * time.Hour}},
	} {
		if got := session.LimitsFor(c.in, c.trusted); got != c.want {
			t.Errorf("%+v, trusted %t: %+v, want %+v", c.in, c.trusted, got, c.want)
		}
	}
}

func TestSEC_S3_LiveToTheMillisecond(t *testing.T) {
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	s := session.Session{Created: now, Seen: now, Until: now.Add(time.Hour), Idle: 10 * time.Minute}
	for _, c := range []struct {
		at   time.Duration
		seen time.Duration
		want bool
	}{
		{0, 0, true}, {10*time.Minute - time.Millisecond, 0, true}, {10 * time.Minute, 0, false},
		{time.Hour - time.Millisecond, 55 * time.Minute, true}, {time.Hour, 55 * time.Minute, false},
	} {
		s.Seen = now.Add(c.seen)
		if got := s.Live(now.Add(c.at)); got != c.want {
			t.Errorf("after %s, seen after %s: %t", c.at, c.seen, got)
		}
	}
	s.Seen, s.Ended = now, now
	if s.Live(now) {
		t.Error("an ended session lives")
	}
}

func TestREQ_A8_AMRSaysWhatWasProven(t *testing.T) {
	at := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		kinds []authn.Kind
		want  []string
	}{
		{nil, nil},
		{[]authn.Kind{authn.Password}, []string{"pwd"}},
		{[]authn.Kind{authn.Password, authn.TOTP}, []string{"pwd", "otp", "mfa"}},
		{[]authn.Kind{authn.TOTP, authn.Phone}, []string{"otp", "swk"}},
		{[]authn.Kind{authn.Passkey}, []string{"hwk", "user", "mfa"}},
		{[]authn.Kind{authn.Cert, authn.Password, authn.Phone}, []string{"swk", "pwd", "mfa"}},
		{[]authn.Kind{authn.Mail, authn.Invite, "made-up"}, nil},
	} {
		var evidence []authn.Evidence
		for i, k := range c.kinds {
			evidence = append(evidence, authn.Evidence{Kind: k, At: at.Add(time.Duration(i) * time.Second)})
		}
		if got := session.AMR(evidence); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.kinds, got, c.want)
		}
		if n := len(c.kinds); n > 0 && !session.AuthTime(evidence).Equal(at.Add(time.Duration(n-1)*time.Second)) {
			t.Errorf("%v: auth_time %s", c.kinds, session.AuthTime(evidence))
		}
	}
}
