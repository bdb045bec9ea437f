-- The first shape of a node's durable state. The dialect is the part that
-- SQLite and PostgreSQL share; BLOB is read as BYTEA by the latter. Times are
-- Unix seconds, days are whole days since 1970-01-01 UTC.

-- +goose Up

-- Every key that the domain signed: the key ring. card and serial are those of
-- users, whose records the key server can get back from here.
CREATE TABLE ring (
    kind        TEXT   NOT NULL,
    subject     TEXT   NOT NULL,
    fingerprint BLOB   NOT NULL,
    raw         BLOB   NOT NULL,
    card        BLOB   NOT NULL,
    serial      BIGINT NOT NULL,
    not_after   BIGINT NOT NULL,
    PRIMARY KEY (kind, subject, fingerprint)
);

-- Key server: one current card per user name, the domain's own or a copy.
CREATE TABLE users (
    name        TEXT   NOT NULL PRIMARY KEY,
    fingerprint BLOB   NOT NULL,
    certificate BLOB   NOT NULL,
    card        BLOB   NOT NULL,
    serial      BIGINT NOT NULL,
    not_after   BIGINT NOT NULL,
    origin      TEXT   NOT NULL,
    stored_at   BIGINT NOT NULL
);
CREATE INDEX users_fingerprint ON users (fingerprint);
CREATE INDEX users_age ON users (origin, stored_at);

-- Key server: one current descriptor per domain, the own one or a copy.
CREATE TABLE servers (
    domain      TEXT   NOT NULL PRIMARY KEY,
    ca          BLOB   NOT NULL,
    serial      BIGINT NOT NULL,
    descriptor  BLOB   NOT NULL,
    not_after   BIGINT NOT NULL,
    origin      TEXT   NOT NULL
);

-- Key server: link and cross certificates, by the fingerprint of their key.
CREATE TABLE certificates (
    kind        TEXT   NOT NULL,
    subject     TEXT   NOT NULL,
    fingerprint BLOB   NOT NULL,
    raw         BLOB   NOT NULL,
    not_after   BIGINT NOT NULL,
    PRIMARY KEY (kind, subject, fingerprint)
);
CREATE INDEX certificates_fingerprint ON certificates (fingerprint);

CREATE TABLE pins (
    kind        TEXT NOT NULL,
    subject     TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    PRIMARY KEY (kind, subject)
);

CREATE TABLE peers (
    domain      TEXT   NOT NULL PRIMARY KEY,
    ca          BLOB   NOT NULL,
    given       BLOB   NOT NULL,
    received    BLOB   NOT NULL,
    since       BIGINT NOT NULL
);

-- One row per user who holds addresses or has items here, with both counts,
-- so that a cap costs one row and not a walk.
CREATE TABLE owners (
    owner       BLOB   NOT NULL PRIMARY KEY,
    addresses   BIGINT NOT NULL,
    items       BIGINT NOT NULL
);

CREATE TABLE mailboxes (
    address     BLOB   NOT NULL PRIMARY KEY,
    owner       BLOB   NOT NULL REFERENCES owners (owner),
    kind        TEXT   NOT NULL,
    until_day   BIGINT NOT NULL
);
CREATE INDEX mailboxes_until ON mailboxes (until_day);
CREATE INDEX mailboxes_owner ON mailboxes (owner);

CREATE TABLE items (
    owner       BLOB   NOT NULL REFERENCES owners (owner),
    seq         BIGINT NOT NULL,
    mailbox     BLOB   NOT NULL,
    kind        BIGINT NOT NULL,
    id          BLOB   NOT NULL,
    body        BLOB   NOT NULL,
    at          BIGINT NOT NULL,
    PRIMARY KEY (owner, seq)
);
CREATE INDEX items_at ON items (at);

-- What was delivered, kept after its owner forgot the item.
CREATE TABLE delivered (
    mailbox     BLOB   NOT NULL,
    kind        BIGINT NOT NULL,
    id          BLOB   NOT NULL,
    until       BIGINT NOT NULL,
    PRIMARY KEY (mailbox, kind, id)
);
CREATE INDEX delivered_until ON delivered (until);

-- What the router must not see twice, across restarts.
CREATE TABLE marks (
    kind        BIGINT NOT NULL,
    id          BLOB   NOT NULL,
    until       BIGINT NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX marks_until ON marks (until);

-- Row counts of the capped tables, and the last item number given out.
CREATE TABLE counters (
    name        TEXT   NOT NULL PRIMARY KEY,
    value       BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES
    ('items', 0), ('cached', 0), ('servers', 0), ('pins', 0), ('peers', 0), ('marks', 0);
