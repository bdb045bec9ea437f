-- Whose key a head is signed by stays known when the domain has another.

-- +goose Up

-- The descriptor that named the log key by which the head is signed; empty: the newest one.
-- The checkpoint of a log that was cosigned has the cosignature too, from here on.
ALTER TABLE witnessed ADD COLUMN descriptor BLOB NOT NULL DEFAULT '';
ALTER TABLE mirrors ADD COLUMN descriptor BLOB NOT NULL DEFAULT '';
