-- +goose Up

-- The ways of flows to the host where certificates are shown, and back. Only a new table: the version before works on
-- beside it.

CREATE TABLE sighting (
    id       TEXT COLLATE "C" PRIMARY KEY,
    realm    TEXT   NOT NULL,
    flow     TEXT   NOT NULL,
    try      BIGINT NOT NULL,
    there    BYTEA   NOT NULL UNIQUE,
    back     BYTEA   UNIQUE,
    leaf     BYTEA,
    network  TEXT   NOT NULL,
    created  BIGINT NOT NULL,
    seen     BIGINT NOT NULL,
    expires  BIGINT NOT NULL
);
CREATE INDEX sighting_expires ON sighting (expires);
