-- +goose Up

-- People and organizations as those who look after them change them. New columns have a default and new tables stand
-- beside the old ones, so that the version before works on.

ALTER TABLE person ADD COLUMN phone TEXT NOT NULL DEFAULT '';
ALTER TABLE person ADD COLUMN phone_since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE organization ADD COLUMN phone TEXT NOT NULL DEFAULT '';
ALTER TABLE organization ADD COLUMN phone_since BIGINT NOT NULL DEFAULT 0;

-- Organizations without an administrator, or with a single one, are looked for page by page.
CREATE INDEX person_administrators ON person (realm, organization, id) WHERE role = 'administrator' AND state = 'active';

-- Who began to check the caller of a request: from then on they see what a caller could be asked for.
CREATE TABLE caller_check (
    realm   TEXT   NOT NULL,
    request TEXT COLLATE "C" NOT NULL,
    agent   TEXT   NOT NULL,
    at      BIGINT NOT NULL,
    PRIMARY KEY (realm, request, agent)
);
CREATE INDEX caller_check_at ON caller_check (at);

-- A new address for somebody: proposed, or on its way to be confirmed at both ends.
CREATE TABLE address_change (
    id          TEXT COLLATE "C" PRIMARY KEY,
    realm       TEXT   NOT NULL,
    person      TEXT   NOT NULL,
    was         TEXT   NOT NULL,
    address     TEXT   NOT NULL,
    proposed_by TEXT   NOT NULL,
    name        TEXT   NOT NULL,
    reason      TEXT   NOT NULL,
    state       TEXT   NOT NULL,
    session     TEXT   NOT NULL,
    at_old      BIGINT NOT NULL,
    at_new      BIGINT NOT NULL,
    created     BIGINT NOT NULL,
    expires     BIGINT NOT NULL,
    closed      BIGINT NOT NULL
);
-- One at a time: of two that run at once, the links of the one would confirm what the other shows.
CREATE UNIQUE INDEX address_change_person ON address_change (realm, person) WHERE state IN ('proposed', 'open');
CREATE INDEX address_change_expires ON address_change (expires);
