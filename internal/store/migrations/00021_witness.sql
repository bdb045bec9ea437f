-- What this node has cosigned as a witness, and its copies of other domains' key logs.

-- +goose Up

-- The newest head of each log that was cosigned here: the number of leaves, the root hash (32
-- bytes) and the checkpoint as the log signed it. A log that is no peer's any more stays, so
-- that it cannot come back with another history.
CREATE TABLE witnessed (
    origin      TEXT   NOT NULL PRIMARY KEY,
    size        BIGINT NOT NULL,
    root        BLOB   NOT NULL,
    checkpoint  BLOB   NOT NULL
);

-- How far each log was copied: the checkpoint with all cosignatures known, and how many bytes
-- the tiles have that are kept of it.
CREATE TABLE mirrors (
    origin      TEXT   NOT NULL PRIMARY KEY,
    size        BIGINT NOT NULL,
    root        BLOB   NOT NULL,
    checkpoint  BLOB   NOT NULL,
    bytes       BIGINT NOT NULL
);

-- The tiles of the copies, verified. level is -1 for those that hold leaves. A narrower tile is
-- the beginning of a wider one, so the widest is kept.
CREATE TABLE mirror_tiles (
    origin      TEXT   NOT NULL,
    level       BIGINT NOT NULL,
    number      BIGINT NOT NULL,
    width       BIGINT NOT NULL,
    data        BLOB   NOT NULL,
    PRIMARY KEY (origin, level, number)
);

INSERT INTO counters (name, value) VALUES ('witnessed', 0), ('mirrors', 0), ('mirror bytes', 0);
