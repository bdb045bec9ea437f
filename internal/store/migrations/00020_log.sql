-- The key log of the domain: what its key server published, as commitments, in a tree.

-- +goose Up

-- Leaves only ever come; none is changed.
CREATE TABLE log_leaves (
    number      BIGINT NOT NULL PRIMARY KEY,
    leaf        BLOB   NOT NULL
);

-- The hashes of all full subtrees: of height level, the first has number 0.
CREATE TABLE log_hashes (
    level       BIGINT NOT NULL,
    number      BIGINT NOT NULL,
    hash        BLOB   NOT NULL,
    PRIMARY KEY (level, number)
);

-- The newest leaf of a subject, and the proof of its label. It goes with the record; the leaf stays.
CREATE TABLE logged (
    kind        BIGINT NOT NULL,
    subject     TEXT   NOT NULL,
    number      BIGINT NOT NULL,
    record      BLOB   NOT NULL,
    label_proof BLOB   NOT NULL,
    PRIMARY KEY (kind, subject)
);

-- Checkpoints as they were published: the newest, and the newest that enough witnesses cosigned.
CREATE TABLE log_heads (
    name        TEXT   NOT NULL PRIMARY KEY,
    size        BIGINT NOT NULL,
    checkpoint  BLOB   NOT NULL
);
