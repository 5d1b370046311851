-- +goose Up

-- Keys that are made in the browser: how often the password of a file was typed there and was not it. A column with a default,
-- and an index for what was signed and then never came to be used; the version before works on beside them.

ALTER TABLE parcel ADD COLUMN tries BIGINT NOT NULL DEFAULT 0;
CREATE INDEX parcel_signed ON parcel (realm, until) WHERE state = 'signed';
