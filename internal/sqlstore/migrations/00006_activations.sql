-- +goose Up

-- Activations: codes that a person reads to an agent. Only a new table: the version before works on beside it. Checks and
-- confirmations are documents of the row, so that one version decides every race about an activation; entries are counted
-- beside it, by a statement of their own.

CREATE TABLE activation (
    id            TEXT COLLATE "C" PRIMARY KEY,
    realm         TEXT    NOT NULL,
    person        TEXT    NOT NULL,
    flow          TEXT    NOT NULL,
    kind          TEXT    NOT NULL,
    number        TEXT    NOT NULL,
    code          BYTEA   NOT NULL,
    state         TEXT    NOT NULL,
    tries         BIGINT  NOT NULL,
    device        TEXT    NOT NULL,
    network       TEXT    NOT NULL,
    browser       TEXT    NOT NULL,
    words         TEXT    NOT NULL,
    agent         TEXT    NOT NULL,
    agent_name    TEXT    NOT NULL,
    checks        TEXT    NOT NULL,
    confirmations TEXT    NOT NULL,
    created       BIGINT  NOT NULL,
    opened        BIGINT  NOT NULL,
    expires       BIGINT  NOT NULL,
    closed        BIGINT  NOT NULL,
    closed_by     TEXT    NOT NULL,
    closed_why    TEXT    NOT NULL,
    version       BIGINT  NOT NULL
);
-- Open codes of a realm differ: an agent who types one never meets two.
CREATE UNIQUE INDEX activation_code ON activation (realm, code) WHERE state IN ('waiting', 'opened');
-- One per flow: a new code kills the old one.
CREATE UNIQUE INDEX activation_flow_open ON activation (flow) WHERE state IN ('waiting', 'opened', 'matched', 'confirmed');
CREATE INDEX activation_flow ON activation (flow, id);
CREATE INDEX activation_person ON activation (realm, person, id);
CREATE INDEX activation_created ON activation (created);
