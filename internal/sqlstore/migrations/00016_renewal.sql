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
