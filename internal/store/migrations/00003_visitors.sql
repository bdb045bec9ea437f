-- Users of other homes who have mailboxes here.

-- +goose Up

-- A row goes with its owner's.
CREATE TABLE visitors (
    owner       BLOB   NOT NULL PRIMARY KEY,
    home        TEXT   NOT NULL
);
CREATE INDEX visitors_home ON visitors (home);
