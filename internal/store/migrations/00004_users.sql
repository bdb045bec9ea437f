-- What the operator of a domain decides about its users.

-- +goose Up

-- Invitations: the hash of a token, whom it is for (empty: anybody), and who took it, when;
-- used is 0 and taker empty before that.
CREATE TABLE invitations (
    hash        BLOB   NOT NULL PRIMARY KEY,
    name        TEXT   NOT NULL,
    made        BIGINT NOT NULL,
    expires     BIGINT NOT NULL,
    used        BIGINT NOT NULL,
    taker       BLOB   NOT NULL
);
CREATE INDEX invitations_expires ON invitations (expires);

-- How many messages an hour a name may send, where that is not the usual number.
CREATE TABLE quotas (
    name        TEXT   NOT NULL PRIMARY KEY,
    messages    BIGINT NOT NULL
);

INSERT INTO counters (name, value) VALUES ('invitations', 0), ('quotas', 0);
