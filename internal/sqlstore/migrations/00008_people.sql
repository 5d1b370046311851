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
