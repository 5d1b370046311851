-- +goose Up

-- What the OpenID provider keeps. Only new tables: the version before works on beside it. Look-up hashes are keyed
-- hashes, lists are JSON documents, an interval is in milliseconds.

CREATE TABLE oidc_key (
    id      TEXT COLLATE "C" NOT NULL,
    realm   TEXT COLLATE "C" NOT NULL,
    alg     TEXT   NOT NULL,
    private BYTEA  NOT NULL,
    created BIGINT NOT NULL,
    signs   BIGINT NOT NULL,
    retires BIGINT NOT NULL,
    ends    BIGINT NOT NULL,
    PRIMARY KEY (realm, id)
);
-- One key is the newest. Two nodes that rotate at once would otherwise sign with a key each, and one of the two is not
-- in what the other publishes.
CREATE UNIQUE INDEX oidc_key_newest ON oidc_key (realm, alg) WHERE retires = 0;
CREATE INDEX oidc_key_ends ON oidc_key (ends) WHERE ends <> 0;

CREATE TABLE oidc_request (
    id       TEXT COLLATE "C" PRIMARY KEY,
    realm    TEXT   NOT NULL,
    client   TEXT   NOT NULL,
    handle   BYTEA,
    params   TEXT   NOT NULL,
    jkt      TEXT   NOT NULL,
    created  BIGINT NOT NULL,
    expires  BIGINT NOT NULL,
    used     BIGINT NOT NULL,
    finished BIGINT NOT NULL
);
CREATE UNIQUE INDEX oidc_request_handle ON oidc_request (realm, handle) WHERE handle IS NOT NULL;
CREATE INDEX oidc_request_expires ON oidc_request (expires);

CREATE TABLE oidc_authorization (
    id        TEXT COLLATE "C" PRIMARY KEY,
    realm     TEXT    NOT NULL,
    client    TEXT    NOT NULL,
    person    TEXT    NOT NULL,
    session   TEXT    NOT NULL,
    scopes    TEXT    NOT NULL,
    resources TEXT    NOT NULL,
    claims    TEXT    NOT NULL,
    nonce     TEXT    NOT NULL,
    acr       TEXT    NOT NULL,
    amr       TEXT    NOT NULL,
    auth_time BIGINT  NOT NULL,
    offline   BOOLEAN NOT NULL,
    jkt       TEXT    NOT NULL,
    x5t       TEXT    NOT NULL,
    created   BIGINT  NOT NULL,
    until     BIGINT  NOT NULL,
    ended     BIGINT  NOT NULL,
    why       TEXT    NOT NULL
);
CREATE INDEX oidc_authorization_person ON oidc_authorization (realm, person, id) WHERE ended = 0;
CREATE INDEX oidc_authorization_session ON oidc_authorization (realm, session, id);
CREATE INDEX oidc_authorization_until ON oidc_authorization (until) WHERE until <> 0;
CREATE INDEX oidc_authorization_created ON oidc_authorization (created) WHERE until = 0 AND ended = 0;
CREATE INDEX oidc_authorization_ended ON oidc_authorization (ended) WHERE ended <> 0;

CREATE TABLE oidc_code (
    hash             BYTEA  NOT NULL PRIMARY KEY,
    realm            TEXT   NOT NULL,
    client           TEXT   NOT NULL,
    authorization_id TEXT   NOT NULL,
    redirect         TEXT   NOT NULL,
    challenge        TEXT   NOT NULL,
    created          BIGINT NOT NULL,
    expires          BIGINT NOT NULL,
    used             BIGINT NOT NULL
);
CREATE INDEX oidc_code_expires ON oidc_code (expires);

CREATE TABLE oidc_refresh (
    hash             BYTEA  NOT NULL PRIMARY KEY,
    realm            TEXT   NOT NULL,
    client           TEXT   NOT NULL,
    authorization_id TEXT   NOT NULL,
    created          BIGINT NOT NULL,
    expires          BIGINT NOT NULL,
    used             BIGINT NOT NULL,
    answer           BYTEA
);
CREATE INDEX oidc_refresh_expires ON oidc_refresh (expires);
CREATE INDEX oidc_refresh_used ON oidc_refresh (used) WHERE used <> 0;
CREATE INDEX oidc_refresh_answer ON oidc_refresh (used) WHERE answer IS NOT NULL;

CREATE TABLE oidc_consent (
    realm  TEXT   NOT NULL,
    person TEXT   NOT NULL,
    client TEXT COLLATE "C" NOT NULL,
    scopes TEXT   NOT NULL,
    at     BIGINT NOT NULL,
    PRIMARY KEY (realm, person, client)
);

CREATE TABLE oidc_device (
    id               TEXT COLLATE "C" PRIMARY KEY,
    realm            TEXT   NOT NULL,
    client           TEXT   NOT NULL,
    hash             BYTEA  NOT NULL UNIQUE,
    user_code        BYTEA  NOT NULL,
    scopes           TEXT   NOT NULL,
    state            TEXT   NOT NULL,
    authorization_id TEXT   NOT NULL,
    created          BIGINT NOT NULL,
    expires          BIGINT NOT NULL,
    polled           BIGINT NOT NULL,
    pace             BIGINT NOT NULL,
    version          BIGINT NOT NULL,
    UNIQUE (realm, user_code)
);
CREATE INDEX oidc_device_expires ON oidc_device (expires);

CREATE TABLE oidc_logout (
    id         TEXT COLLATE "C" PRIMARY KEY,
    realm      TEXT   NOT NULL,
    client     TEXT   NOT NULL,
    person     TEXT   NOT NULL,
    session    TEXT   NOT NULL,
    attempts   BIGINT NOT NULL,
    last_error TEXT   NOT NULL,
    created    BIGINT NOT NULL,
    due        BIGINT NOT NULL,
    done       BIGINT NOT NULL,
    leased     BIGINT NOT NULL
);
CREATE INDEX oidc_logout_due ON oidc_logout (due, id) WHERE done = 0;
CREATE INDEX oidc_logout_created ON oidc_logout (created);
CREATE INDEX oidc_logout_session ON oidc_logout (realm, session, client);
