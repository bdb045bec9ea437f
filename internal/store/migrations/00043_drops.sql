-- How many peers were dropped, and up to which of these drops our contexts have been given other keys.

-- +goose Up

INSERT INTO counters (name, value) VALUES ('drops', 0), ('drops answered', 0);
