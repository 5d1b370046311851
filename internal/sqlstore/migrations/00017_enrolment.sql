-- +goose Up

-- Managed devices that may ask for their certificate by themselves. Only a new table: the version before works on beside it.

CREATE TABLE enrolment (
    id          TEXT COLLATE "C" PRIMARY KEY,
    realm       TEXT COLLATE "C" NOT NULL,
    person      TEXT COLLATE "C" NOT NULL,
    device      TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    sender      TEXT    NOT NULL,
    secret      BYTEA   NOT NULL,
    state       TEXT    NOT NULL,
    certificate TEXT    NOT NULL,
    created     BIGINT  NOT NULL,
    until       BIGINT  NOT NULL,
    used        BIGINT  NOT NULL,
    version     BIGINT  NOT NULL,
    UNIQUE (realm, secret),
    UNIQUE (realm, device)
);
CREATE INDEX enrolment_person ON enrolment (realm, person, id);
CREATE INDEX enrolment_until ON enrolment (until);
