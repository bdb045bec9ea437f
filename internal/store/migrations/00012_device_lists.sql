-- How new the list of an owner's devices is, also when it names none, or its rows have gone.

-- +goose Up

-- The greatest serial of a card by which an owner's devices were judged; seq is greater the later
-- that was. Of too many the one with the least seq goes.
CREATE TABLE device_lists (
    owner       BLOB   NOT NULL PRIMARY KEY,
    serial      BIGINT NOT NULL,
    seq         BIGINT NOT NULL
);
CREATE INDEX device_lists_seq ON device_lists (seq);

INSERT INTO device_lists (owner, serial, seq) SELECT owner, MAX(serial), 0 FROM devices GROUP BY owner;
INSERT INTO counters (name, value) VALUES ('device list numbers', 0);
INSERT INTO counters (name, value) SELECT 'device lists', COUNT(*) FROM device_lists;
