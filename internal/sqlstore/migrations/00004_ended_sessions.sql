-- +goose Up

-- A session that is over is settled once: what hangs on it ends, and its clients are told. The version before adds sessions
-- without naming the column and goes on to find authorizations by itself; the two skip what the other has done.
ALTER TABLE session ADD COLUMN settled BIGINT NOT NULL DEFAULT 0;
CREATE INDEX session_ended ON session (realm) WHERE settled = 0 AND ended <> 0;
CREATE INDEX session_over ON session (realm, until) WHERE settled = 0;

-- The credentials that were shown for an authorization, so that one that outlives its session needs nothing of it. null:
-- added by the version before.
ALTER TABLE oidc_authorization ADD COLUMN shown TEXT NOT NULL DEFAULT 'null';
