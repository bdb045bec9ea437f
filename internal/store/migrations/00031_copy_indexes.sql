-- A copy is found by what it is asked for by and by its domain, the newest first, without a walk over the others.

-- +goose Up

DROP INDEX copies_name;
DROP INDEX copies_key;
CREATE INDEX copies_name ON copies (name_id, domain, number);
CREATE INDEX copies_key ON copies (key_id, domain, number);
