-- +goose Up

-- Ids are UUIDv7 as text, times Unix milliseconds (0: none), documents JSON as text. Columns that are sorted by have the
-- byte order on both databases, so that a page ends in the same place on both. WITHOUT ROWID is for SQLite: rows that
-- come by the million lie in the order of their ids.

CREATE TABLE epoch (
    id    BIGINT PRIMARY KEY CHECK (id = 1),
    value BIGINT NOT NULL
);
INSERT INTO epoch (id, value) VALUES (1, 1);

CREATE TABLE canary (
    id      BIGINT PRIMARY KEY CHECK (id = 1),
    sealed  BYTEA  NOT NULL,
    created BIGINT NOT NULL
);

CREATE TABLE realm (
    id       TEXT COLLATE "C" PRIMARY KEY,
    host     TEXT   NOT NULL UNIQUE,
    document TEXT   NOT NULL,
    version  BIGINT NOT NULL
);

CREATE TABLE organization (
    id      TEXT COLLATE "C" PRIMARY KEY,
    realm   TEXT    NOT NULL,
    name    TEXT    NOT NULL,
    sort    TEXT COLLATE "C" NOT NULL,
    staff   BOOLEAN NOT NULL,
    state   TEXT    NOT NULL,
    policy  TEXT    NOT NULL,
    manager TEXT    NOT NULL,
    created BIGINT  NOT NULL,
    version BIGINT  NOT NULL,
    UNIQUE (realm, sort)
);
CREATE UNIQUE INDEX organization_staff ON organization (realm) WHERE staff;

CREATE TABLE person (
    id           TEXT COLLATE "C" PRIMARY KEY,
    realm        TEXT    NOT NULL,
    organization TEXT    NOT NULL,
    address      TEXT COLLATE "C" NOT NULL,
    name         TEXT    NOT NULL,
    sort         TEXT COLLATE "C" NOT NULL,
    role         TEXT    NOT NULL,
    state        TEXT    NOT NULL,
    language     TEXT    NOT NULL,
    zone         TEXT    NOT NULL,
    contact      TEXT    NOT NULL,
    created      BIGINT  NOT NULL,
    first_active BIGINT  NOT NULL,
    last_sign_in BIGINT  NOT NULL,
    invitation   BIGINT  NOT NULL,
    bounced      BOOLEAN NOT NULL,
    version      BIGINT  NOT NULL,
    UNIQUE (realm, address)
);
CREATE INDEX person_name ON person (realm, sort, id);
CREATE INDEX person_organization ON person (realm, organization, sort, id);
CREATE INDEX person_never_active ON person (realm, sort, id) WHERE first_active = 0;
CREATE INDEX person_role ON person (realm, role, sort, id);
CREATE INDEX person_state ON person (realm, state, sort, id);

CREATE TABLE credential (
    id        TEXT COLLATE "C" PRIMARY KEY,
    realm     TEXT   NOT NULL,
    person    TEXT   NOT NULL,
    kind      TEXT   NOT NULL,
    state     TEXT   NOT NULL,
    name      TEXT   NOT NULL,
    model     TEXT   NOT NULL,
    data      BYTEA,
    created   BIGINT NOT NULL,
    last_used BIGINT NOT NULL,
    ended     BIGINT NOT NULL,
    version   BIGINT NOT NULL
);
CREATE INDEX credential_person ON credential (realm, person);
-- A person has one password. Two set-ups that raced would otherwise leave two that both open the door.
CREATE UNIQUE INDEX credential_password ON credential (realm, person) WHERE kind = 'password' AND state <> 'ended';

CREATE TABLE flow (
    id            TEXT COLLATE "C" PRIMARY KEY,
    realm         TEXT   NOT NULL,
    person        TEXT   NOT NULL,
    browser       BYTEA,
    address       TEXT   NOT NULL,
    goal          TEXT   NOT NULL,
    evidence      TEXT   NOT NULL,
    question      TEXT   NOT NULL,
    question_data BYTEA,
    wrong         BIGINT NOT NULL,
    return_to     TEXT   NOT NULL,
    one_time      TEXT   NOT NULL,
    choice        TEXT   NOT NULL,
    language      TEXT   NOT NULL,
    session       TEXT   NOT NULL,
    state         TEXT   NOT NULL,
    created       BIGINT NOT NULL,
    expires       BIGINT NOT NULL,
    version       BIGINT NOT NULL
);
CREATE INDEX flow_person ON flow (realm, person) WHERE state = 'open';
CREATE INDEX flow_expires ON flow (expires);

CREATE TABLE one_time (
    id      TEXT COLLATE "C" PRIMARY KEY,
    realm   TEXT   NOT NULL,
    person  TEXT   NOT NULL,
    kind    TEXT   NOT NULL,
    purpose TEXT   NOT NULL,
    flow    TEXT   NOT NULL,
    caused_by TEXT   NOT NULL,
    return_to TEXT   NOT NULL,
    hash    BYTEA  NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    used    BIGINT NOT NULL,
    voided  BIGINT NOT NULL,
    UNIQUE (kind, hash)
);
CREATE INDEX one_time_person ON one_time (realm, person, kind);
CREATE INDEX one_time_expires ON one_time (expires);

CREATE TABLE spent (
    key     TEXT COLLATE "C" PRIMARY KEY,
    expires BIGINT NOT NULL
);
CREATE INDEX spent_expires ON spent (expires);

CREATE TABLE attempt (
    key         TEXT COLLATE "C" PRIMARY KEY,
    until       BIGINT NOT NULL,
    count       BIGINT NOT NULL,
    consecutive BIGINT NOT NULL
);
CREATE INDEX attempt_until ON attempt (until);

CREATE TABLE session (
    id       TEXT COLLATE "C" PRIMARY KEY,
    realm    TEXT   NOT NULL,
    person   TEXT   NOT NULL,
    hash     BYTEA  NOT NULL UNIQUE,
    evidence TEXT   NOT NULL,
    created  BIGINT NOT NULL,
    seen     BIGINT NOT NULL,
    until    BIGINT NOT NULL,
    idle     BIGINT NOT NULL,
    network  TEXT   NOT NULL,
    browser  TEXT   NOT NULL,
    device   TEXT   NOT NULL,
    ended    BIGINT NOT NULL,
    why      TEXT   NOT NULL,
    epoch    BIGINT NOT NULL
);
CREATE INDEX session_person ON session (realm, person) WHERE ended = 0;
CREATE INDEX session_until ON session (until);

CREATE TABLE device (
    id      TEXT COLLATE "C" PRIMARY KEY,
    realm   TEXT   NOT NULL,
    person  TEXT   NOT NULL,
    hash    BYTEA  NOT NULL UNIQUE,
    created BIGINT NOT NULL,
    seen    BIGINT NOT NULL
);
CREATE INDEX device_person ON device (realm, person);

CREATE TABLE acceptance (
    id       TEXT COLLATE "C" PRIMARY KEY,
    realm    TEXT   NOT NULL,
    person   TEXT   NOT NULL,
    version  TEXT   NOT NULL,
    language TEXT   NOT NULL,
    hash     TEXT   NOT NULL,
    typed    TEXT   NOT NULL,
    at       BIGINT NOT NULL,
    network  TEXT   NOT NULL,
    browser  TEXT   NOT NULL
);
CREATE INDEX acceptance_person ON acceptance (realm, person, at, id);

CREATE TABLE preference (
    realm   TEXT    NOT NULL,
    person  TEXT    NOT NULL,
    topic   TEXT    NOT NULL,
    chosen  BOOLEAN NOT NULL,
    changed BIGINT  NOT NULL,
    PRIMARY KEY (realm, person, topic)
);

CREATE TABLE event (
    id           TEXT COLLATE "C" PRIMARY KEY,
    realm        TEXT   NOT NULL,
    at           BIGINT NOT NULL,
    type         TEXT   NOT NULL,
    actor        TEXT   NOT NULL,
    person       TEXT   NOT NULL,
    organization TEXT   NOT NULL,
    session      TEXT   NOT NULL,
    flow         TEXT   NOT NULL,
    network      TEXT   NOT NULL,
    browser      TEXT   NOT NULL,
    reason       TEXT   NOT NULL,
    data         TEXT   NOT NULL,
    sequenced    BOOLEAN NOT NULL
) /* WITHOUT ROWID */;
CREATE INDEX event_realm ON event (realm, id);
CREATE INDEX event_person ON event (realm, person, id) WHERE person <> '';
CREATE INDEX event_organization ON event (realm, organization, id) WHERE organization <> '';
CREATE INDEX event_waiting ON event (id) WHERE NOT sequenced;

CREATE TABLE mail (
    id         TEXT COLLATE "C" PRIMARY KEY,
    realm      TEXT   NOT NULL,
    person     TEXT   NOT NULL,
    recipient  TEXT   NOT NULL,
    template   TEXT   NOT NULL,
    language   TEXT   NOT NULL,
    args       BYTEA,
    state      TEXT   NOT NULL,
    attempts   BIGINT NOT NULL,
    last_error TEXT   NOT NULL,
    created    BIGINT NOT NULL,
    due        BIGINT NOT NULL,
    done       BIGINT NOT NULL,
    leased     BIGINT NOT NULL
);
CREATE INDEX mail_due ON mail (due, id) WHERE state = 'waiting';
CREATE INDEX mail_waiting ON mail (realm, created) WHERE state = 'waiting';
CREATE INDEX mail_failed ON mail (realm, done) WHERE state = 'failed';
CREATE INDEX mail_person ON mail (realm, person, id);

CREATE TABLE lease (
    name   TEXT COLLATE "C" PRIMARY KEY,
    holder TEXT   NOT NULL,
    until  BIGINT NOT NULL,
    last   BIGINT NOT NULL,
    error  TEXT   NOT NULL
);

CREATE TABLE leaf (
    place BIGINT PRIMARY KEY,
    event TEXT COLLATE "C" NOT NULL UNIQUE,
    hash  BYTEA  NOT NULL
);

CREATE TABLE tree_hash (
    place BIGINT PRIMARY KEY,
    hash  BYTEA  NOT NULL
);

CREATE TABLE checkpoint (
    size BIGINT NOT NULL,
    at   BIGINT NOT NULL,
    root BYTEA  NOT NULL,
    note TEXT   NOT NULL,
    PRIMARY KEY (at, size)
);
