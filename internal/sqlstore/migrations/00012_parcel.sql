-- +goose Up

-- Certificates on their way to their devices. Only a new table: the version before works on beside it.

CREATE TABLE parcel (
    id          TEXT COLLATE "C" PRIMARY KEY,
    realm       TEXT COLLATE "C" NOT NULL,
    certificate TEXT COLLATE "C" NOT NULL,
    person      TEXT COLLATE "C" NOT NULL,
    contact     TEXT    NOT NULL,
    sender      TEXT    NOT NULL,
    target      TEXT    NOT NULL,
    device      TEXT    NOT NULL,
    year        BIGINT  NOT NULL,
    file        BYTEA,
    password    BYTEA,
    link        BYTEA   NOT NULL,
    sent        BIGINT  NOT NULL,
    state       TEXT    NOT NULL,
    created     BIGINT  NOT NULL,
    until       BIGINT  NOT NULL,
    fetched     BIGINT  NOT NULL,
    said        BIGINT  NOT NULL,
    version     BIGINT  NOT NULL,
    UNIQUE (realm, link),
    UNIQUE (certificate)
);
CREATE INDEX parcel_person ON parcel (realm, person, id);
CREATE INDEX parcel_until ON parcel (until);
