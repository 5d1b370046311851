-- +goose Up

-- One live sheet of recovery codes per person: of two that are made at once, the second ends the first or finds it there.
-- The version before never wrote any.
CREATE UNIQUE INDEX credential_recovery ON credential (realm, person) WHERE kind = 'recovery' AND state <> 'ended';
