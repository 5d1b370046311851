-- +goose Up

-- Which reminders about the end of a certificate were sent. Only a new table: the version before works on beside it.

CREATE TABLE certificate_notice (
    certificate TEXT COLLATE "C" NOT NULL,
    days        BIGINT NOT NULL,
    sent        BIGINT NOT NULL,
    PRIMARY KEY (certificate, days)
);
CREATE INDEX certificate_notice_sent ON certificate_notice (sent);

-- For files that their owners made and nobody fetched.
CREATE INDEX parcel_own ON parcel (realm, until) WHERE contact = '' AND fetched = 0;

-- For certificates that were made in a flow and not shown in it.
CREATE INDEX pki_certificate_pending ON pki_certificate (realm, id) WHERE state = 'pending';
