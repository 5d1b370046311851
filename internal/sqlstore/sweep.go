package sqlstore

import (
	"time"

	"doorward/internal/session"
)

// Rules of sweeping: what can no longer be used for anything goes, in small transactions. One-time secrets and sessions
// stay for thirty days after their end, so that a late visitor is told what happened. A count of consecutive attempts
// outlives its window: an attacker must not shed it by waiting for the sweep.
//
// Of the provider: an authorization code and a device grant stay for a day, requests, refresh tokens, log-outs and
// authorizations for thirty, so that a second use ends what was issued. A signing key goes with its end, and the answer of
// a refresh after ten seconds and what clocks may differ: earlier, an honest repetition would look like a theft. An
// authorization without an end of its own goes when the session it came from is forgotten, and so does a log-out: while the
// session is there it says that the client was told.

const (
	sweepBatch   = 500
	day          = 24 * time.Hour
	explained    = 30 * day
	answerKept   = 10*time.Second + session.Skew
	attemptsKept = 180 * day
)

var sweeps = []struct {
	text string
	age  time.Duration
}{
	{statement(`DELETE FROM flow WHERE id IN (SELECT id FROM flow WHERE expires <= $1 LIMIT $2)`), 0},
	{statement(`DELETE FROM spent WHERE key IN (SELECT key FROM spent WHERE expires <= $1 LIMIT $2)`), 0},
	{statement(`DELETE FROM attempt WHERE key IN (SELECT key FROM attempt WHERE until <= $1 AND consecutive = 0 LIMIT $2)`), 0},
	{statement(`DELETE FROM attempt WHERE key IN (SELECT key FROM attempt WHERE until <= $1 LIMIT $2)`), attemptsKept},
	{statement(`DELETE FROM one_time WHERE id IN (SELECT id FROM one_time WHERE expires <= $1 LIMIT $2)`), explained},
	{statement(`DELETE FROM sighting WHERE id IN (SELECT id FROM sighting WHERE expires <= $1 LIMIT $2)`), sightingKept},
	{statement(`DELETE FROM session WHERE id IN (SELECT id FROM session WHERE until <= $1 LIMIT $2)`), explained},

	{statement(`DELETE FROM help_request WHERE id IN (SELECT id FROM help_request WHERE closed <> 0 AND closed <= $1 LIMIT $2)`), helpKept},
	{statement(`DELETE FROM pki_certificate WHERE id IN (SELECT id FROM pki_certificate WHERE not_after <= $1 LIMIT $2)`), certificatesKept},
	{statement(`DELETE FROM caller_check WHERE (realm, request, agent) IN (SELECT realm, request, agent FROM caller_check WHERE at <= $1 LIMIT $2)`), explained},
	{statement(`DELETE FROM exemption WHERE id IN (SELECT id FROM exemption WHERE closed <> 0 AND closed <= $1 LIMIT $2)`), helpKept},
	{statement(`DELETE FROM rollout_notice WHERE (realm, rollout, person, what) IN (SELECT realm, rollout, person, what FROM rollout_notice
		WHERE sent <= $1 LIMIT $2)`), helpKept},
	{statement(`DELETE FROM rollout_delay WHERE (realm, rollout, person) IN (SELECT realm, rollout, person FROM rollout_delay
		WHERE last <= $1 LIMIT $2)`), helpKept},
	{statement(`DELETE FROM activation WHERE id IN (SELECT id FROM activation WHERE created <= $1 LIMIT $2)`), explained},
	{statement(`DELETE FROM certificate_notice WHERE (certificate, days) IN (SELECT certificate, days FROM certificate_notice
		WHERE sent <= $1 LIMIT $2)`), helpKept},
	{statement(`UPDATE parcel SET file = NULL, password = NULL, state = 'ended', version = version + 1
		WHERE id IN (SELECT id FROM parcel WHERE until <= $1 AND state = 'ready' LIMIT $2)`), 0},
	{statement(`UPDATE parcel SET password = NULL, version = version + 1
		WHERE id IN (SELECT id FROM parcel WHERE until <= $1 AND password IS NOT NULL LIMIT $2)`), explained}, // a file fetched late is opened later
	{statement(`DELETE FROM parcel WHERE id IN (SELECT id FROM parcel WHERE until <= $1 LIMIT $2)`), parcelsKept},
	{statement(`DELETE FROM enrolment WHERE id IN (SELECT e.id FROM enrolment e WHERE e.until <= $1
		AND NOT EXISTS (SELECT 1 FROM pki_certificate c WHERE c.realm = e.realm AND c.person = e.person AND c.device = e.device) LIMIT $2)`), explained}, // it says that the device is managed

	{statement(`DELETE FROM oidc_key WHERE (realm, id) IN (SELECT realm, id FROM oidc_key WHERE ends <> 0 AND ends <= $1 LIMIT $2)`), 0},
	{statement(`DELETE FROM oidc_request WHERE id IN (SELECT id FROM oidc_request WHERE expires <= $1 LIMIT $2)`), explained},
	{statement(`DELETE FROM oidc_code WHERE hash IN (SELECT hash FROM oidc_code WHERE expires <= $1 LIMIT $2)`), day},
	{statement(`UPDATE oidc_refresh SET answer = NULL
		WHERE hash IN (SELECT hash FROM oidc_refresh WHERE answer IS NOT NULL AND used <= $1 LIMIT $2)`), answerKept},
	{statement(`DELETE FROM oidc_refresh WHERE hash IN (SELECT hash FROM oidc_refresh WHERE used <> 0 AND used <= $1 LIMIT $2)`), explained},
	{statement(`DELETE FROM oidc_refresh WHERE hash IN (SELECT hash FROM oidc_refresh WHERE expires <= $1 LIMIT $2)`), explained},
	{statement(`DELETE FROM oidc_authorization
		WHERE id IN (SELECT id FROM oidc_authorization WHERE ended <> 0 AND ended <= $1 LIMIT $2)`), explained},
	{statement(`DELETE FROM oidc_authorization
		WHERE id IN (SELECT id FROM oidc_authorization WHERE until <> 0 AND until <= $1 LIMIT $2)`), explained},
	{statement(`DELETE FROM oidc_authorization
		WHERE id IN (SELECT a.id FROM oidc_authorization a WHERE a.until = 0 AND a.ended = 0 AND a.created <= $1 AND NOT a.offline
			AND NOT EXISTS (SELECT 1 FROM session s WHERE s.id = a.session) LIMIT $2)`), explained},
	{statement(`DELETE FROM oidc_device WHERE id IN (SELECT id FROM oidc_device WHERE expires <= $1 LIMIT $2)`), day},
	{statement(`DELETE FROM oidc_logout
		WHERE id IN (SELECT l.id FROM oidc_logout l WHERE l.created <= $1
			AND NOT EXISTS (SELECT 1 FROM session s WHERE s.id = l.session) LIMIT $2)`), explained},
}

// Sweep deletes some of what has run out at now and says how many rows. The caller goes on in a new transaction while
// there are any.
func (t *Tx) Sweep(now time.Time) (int, error) {
	total := 0
	for _, s := range sweeps {
		n, err := t.exec(s.text, millis(now.Add(-s.age)), sweepBatch)
		if err != nil {
			return total, err
		}
		total += n
	}
	return total, nil
}
