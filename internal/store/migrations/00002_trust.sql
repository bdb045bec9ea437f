-- What domains state of each other, and what this node thinks of their keys.

-- +goose Up

-- Signed statements of all domains, in the order in which they came here: views,
-- revocations, successions. id tells those of one issuer apart; it is empty for a view, of
-- which each issuer has one. ends is 0 for what is kept for ever.
CREATE TABLE statements (
    seq         BIGINT NOT NULL PRIMARY KEY,
    kind        BIGINT NOT NULL,
    issuer      TEXT   NOT NULL,
    id          BLOB   NOT NULL,
    serial      BIGINT NOT NULL,
    ends        BIGINT NOT NULL,
    raw         BLOB   NOT NULL
);
CREATE UNIQUE INDEX statements_id ON statements (kind, issuer, id);

-- What this node saw of each domain with its own eyes: the key that DNS names and the one
-- that the domain's own servers show, 32 bytes, or none if they said nothing.
CREATE TABLE sightings (
    domain      TEXT   NOT NULL PRIMARY KEY,
    dns         BLOB   NOT NULL,
    secure      BIGINT NOT NULL,
    dns_at      BIGINT NOT NULL,
    home        BLOB   NOT NULL,
    home_at     BIGINT NOT NULL
);

-- What has changed about keys, for the operator; the oldest go.
CREATE TABLE events (
    seq         BIGINT NOT NULL PRIMARY KEY,
    at          BIGINT NOT NULL,
    domain      TEXT   NOT NULL,
    kind        TEXT   NOT NULL,
    words       TEXT   NOT NULL
);

CREATE INDEX events_domain ON events (domain, seq);

-- Certificates of domain authorities that gave way to others: what they signed is judged
-- by them.
CREATE TABLE former (
    domain      TEXT   NOT NULL,
    fingerprint BLOB   NOT NULL,
    ca          BLOB   NOT NULL,
    PRIMARY KEY (domain, fingerprint)
);

-- Why a pin is believed, since when, the fingerprints, 32 bytes each, of keys that handed
-- over to it, of the one that it committed to, and of its offline root, if there are.
ALTER TABLE pins ADD COLUMN trust BIGINT NOT NULL DEFAULT 1;
ALTER TABLE pins ADD COLUMN since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE pins ADD COLUMN former BLOB NOT NULL DEFAULT '';
ALTER TABLE pins ADD COLUMN successor BLOB NOT NULL DEFAULT '';
ALTER TABLE pins ADD COLUMN root BLOB NOT NULL DEFAULT '';

INSERT INTO counters (name, value) VALUES ('statements', 0), ('events', 0);
