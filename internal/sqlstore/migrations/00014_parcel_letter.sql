-- +goose Up

-- What more is kept of a certificate on its way: the language of its letters, the newest of them, and a keyed hash of the
-- password. Columns with defaults and an index: the version before works on beside them.

ALTER TABLE parcel ADD COLUMN language TEXT NOT NULL DEFAULT '';
ALTER TABLE parcel ADD COLUMN letter TEXT NOT NULL DEFAULT '';
ALTER TABLE parcel ADD COLUMN proof BYTEA;

-- For the staff's page: certificates per month.
CREATE INDEX pki_certificate_created ON pki_certificate (realm, created);
