-- +goose Up

-- Roll-outs in waves, and exemptions. Two columns that the version before neither reads nor writes, and new tables: it
-- works on beside them, and takes an exemption for none.

ALTER TABLE person ADD COLUMN exempt TEXT NOT NULL DEFAULT '';
ALTER TABLE person ADD COLUMN exempt_until BIGINT NOT NULL DEFAULT 0;

CREATE TABLE exemption (
    id           TEXT COLLATE "C" PRIMARY KEY,
    realm        TEXT    NOT NULL,
    person       TEXT    NOT NULL,
    organization TEXT    NOT NULL,
    kind         TEXT    NOT NULL,
    reason       TEXT    NOT NULL,
    hours        BIGINT  NOT NULL,
    state        TEXT    NOT NULL,
    given_by     TEXT    NOT NULL,
    given_name   TEXT    NOT NULL,
    second_by    TEXT    NOT NULL,
    second_name  TEXT    NOT NULL,
    created      BIGINT  NOT NULL,
    until        BIGINT  NOT NULL,
    uses         BIGINT  NOT NULL,
    used         BIGINT  NOT NULL,
    closed       BIGINT  NOT NULL,
    closed_by    TEXT    NOT NULL,
    closed_why   TEXT    NOT NULL
);
-- One at a time: two that were proposed at once would exempt from two kinds together.
CREATE UNIQUE INDEX exemption_person_open ON exemption (realm, person) WHERE state IN ('proposed', 'live');
CREATE INDEX exemption_open ON exemption (realm, id) WHERE state IN ('proposed', 'live');
CREATE INDEX exemption_closed ON exemption (closed) WHERE closed <> 0;

-- Mails about a roll-out: each once for a person.
CREATE TABLE rollout_notice (
    realm   TEXT   NOT NULL,
    rollout TEXT   NOT NULL,
    person  TEXT   NOT NULL,
    what    TEXT   NOT NULL,
    sent    BIGINT NOT NULL,
    PRIMARY KEY (realm, rollout, person, what)
);
CREATE INDEX rollout_notice_sent ON rollout_notice (sent);

-- How often somebody put off what a roll-out asks for.
CREATE TABLE rollout_delay (
    realm   TEXT   NOT NULL,
    rollout TEXT   NOT NULL,
    person  TEXT   NOT NULL,
    times   BIGINT NOT NULL,
    last    BIGINT NOT NULL,
    PRIMARY KEY (realm, rollout, person)
);
CREATE INDEX rollout_delay_last ON rollout_delay (last);
