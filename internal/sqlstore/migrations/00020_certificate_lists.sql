-- +goose Up

-- For the page of certificates: each of its lists comes sorted out of an index, page by page. Only indexes: the version before
-- works on beside them, and finds what it looked for in the two that go by the wider ones that take their places.

CREATE INDEX pki_certificate_made ON pki_certificate (realm, created, id);
CREATE INDEX pki_certificate_runs_out ON pki_certificate (realm, not_after, id);
CREATE INDEX pki_certificate_unused ON pki_certificate (realm, created, id) WHERE state = 'issued';
CREATE INDEX pki_certificate_held ON pki_certificate (realm, created, id) WHERE state = 'suspended';
CREATE INDEX pki_certificate_revoked ON pki_certificate (realm, ended, id) WHERE state = 'revoked';
DROP INDEX pki_certificate_created;
DROP INDEX pki_certificate_ending;
