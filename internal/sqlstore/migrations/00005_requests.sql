-- +goose Up

-- Requests for help with an account. Only a new table: the version before works on beside it. Checks and approvals are
-- documents of the row, so that one version decides every race about a request.

CREATE TABLE help_request (
    id           TEXT COLLATE "C" PRIMARY KEY,
    realm        TEXT    NOT NULL,
    number       TEXT    NOT NULL,
    person       TEXT    NOT NULL,
    organization TEXT    NOT NULL,
    address      TEXT    NOT NULL,
    why          TEXT    NOT NULL,
    kinds        TEXT    NOT NULL,
    everything   BOOLEAN NOT NULL,
    words        TEXT    NOT NULL,
    reason       TEXT    NOT NULL,
    channel      TEXT    NOT NULL,
    opener       TEXT    NOT NULL,
    asked        BIGINT  NOT NULL,
    checks       TEXT    NOT NULL,
    approvals    TEXT    NOT NULL,
    needed       BIGINT  NOT NULL,
    state        TEXT    NOT NULL,
    live_from    BIGINT  NOT NULL,
    live_until   BIGINT  NOT NULL,
    created      BIGINT  NOT NULL,
    closed       BIGINT  NOT NULL,
    closed_by    TEXT    NOT NULL,
    closed_why   TEXT    NOT NULL,
    version      BIGINT  NOT NULL,
    UNIQUE (realm, number)
);
-- One request per person at a time: two that were opened at once would each be approved by people who do not see the other.
CREATE UNIQUE INDEX help_request_person_open ON help_request (realm, person) WHERE person <> '' AND state IN ('open', 'approved');
CREATE INDEX help_request_person ON help_request (realm, person, id) WHERE person <> '';
CREATE INDEX help_request_inbox ON help_request (realm, id) WHERE state IN ('open', 'approved');
CREATE INDEX help_request_inbox_organization ON help_request (realm, organization, id) WHERE state IN ('open', 'approved');
CREATE INDEX help_request_realm ON help_request (realm, id);
CREATE INDEX help_request_closed ON help_request (closed) WHERE closed <> 0;
