-- +goose Up

-- Certificates of devices and who signs them. Only new tables: the version before works on beside them.

CREATE TABLE pki_authority (
    id         TEXT COLLATE "C" PRIMARY KEY,
    realm      TEXT COLLATE "C" NOT NULL,
    class      TEXT    NOT NULL,
    parent     TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    spki       TEXT    NOT NULL,
    sha256     TEXT    NOT NULL,
    der        BYTEA,
    private    BYTEA,
    key_at     TEXT    NOT NULL,
    parts      BIGINT  NOT NULL,
    not_before BIGINT  NOT NULL,
    not_after  BIGINT  NOT NULL,
    state      TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    created    BIGINT  NOT NULL,
    ended      BIGINT  NOT NULL,
    version    BIGINT  NOT NULL
);
CREATE INDEX pki_authority_realm ON pki_authority (realm, id);
CREATE UNIQUE INDEX pki_authority_key ON pki_authority (realm, spki);
-- Of two nodes or people who rotate at once, one does.
CREATE UNIQUE INDEX pki_authority_signs ON pki_authority (realm) WHERE class = 'issuing' AND state = 'signs';
CREATE UNIQUE INDEX pki_authority_published ON pki_authority (realm) WHERE class = 'issuing' AND state = 'published';
-- And of two that make a responder for the same authority.
CREATE UNIQUE INDEX pki_authority_responds ON pki_authority (realm, parent) WHERE class = 'responder' AND state IN ('waiting', 'signs');

CREATE TABLE pki_certificate (
    id         TEXT COLLATE "C" PRIMARY KEY,
    realm      TEXT COLLATE "C" NOT NULL,
    person     TEXT COLLATE "C" NOT NULL,
    device     TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    authority  TEXT COLLATE "C" NOT NULL,
    issuer     TEXT    NOT NULL,
    serial     TEXT    NOT NULL,
    part       BIGINT  NOT NULL,
    key_hash   TEXT    NOT NULL,
    tbs        TEXT    NOT NULL,
    sha256     TEXT    NOT NULL,
    der        BYTEA,
    not_before BIGINT  NOT NULL,
    not_after  BIGINT  NOT NULL,
    state      TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    requester  TEXT    NOT NULL,
    approver   TEXT    NOT NULL,
    replaces   TEXT    NOT NULL,
    created    BIGINT  NOT NULL,
    ended      BIGINT  NOT NULL,
    ends       BIGINT  NOT NULL,
    first_used BIGINT  NOT NULL,
    last_used  BIGINT  NOT NULL,
    version    BIGINT  NOT NULL,
    UNIQUE (issuer, serial)
);
-- No key is certified twice, in whatever realm and for whomever: who has it is not who it was given to.
CREATE UNIQUE INDEX pki_certificate_key ON pki_certificate (key_hash);
-- Of many renewals of one certificate at once, one is made; and of many first ones of a device.
CREATE UNIQUE INDEX pki_certificate_replaces ON pki_certificate (replaces) WHERE replaces <> '' AND state <> 'revoked';
CREATE UNIQUE INDEX pki_certificate_first ON pki_certificate (realm, person, device) WHERE replaces = '' AND state <> 'revoked';
CREATE INDEX pki_certificate_person ON pki_certificate (realm, person, id);
CREATE INDEX pki_certificate_realm ON pki_certificate (realm, id);
CREATE INDEX pki_certificate_reserved ON pki_certificate (realm, id) WHERE state = 'reserved';
CREATE INDEX pki_certificate_crl ON pki_certificate (authority, part, serial) WHERE state IN ('revoked', 'suspended');
CREATE INDEX pki_certificate_authority ON pki_certificate (authority, id);
CREATE INDEX pki_certificate_ending ON pki_certificate (realm, not_after);
CREATE INDEX pki_certificate_over ON pki_certificate (not_after);

CREATE TABLE pki_crl (
    realm       TEXT   NOT NULL,
    authority   TEXT COLLATE "C" NOT NULL,
    part        BIGINT NOT NULL,
    number      BIGINT NOT NULL,
    der         BYTEA  NOT NULL,
    this_update BIGINT NOT NULL,
    next_update BIGINT NOT NULL,
    PRIMARY KEY (authority, part)
);
