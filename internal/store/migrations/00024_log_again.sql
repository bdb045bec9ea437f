-- Leaves that were in no checkpoint and gave way to others which the log had lost: they are logged
-- behind those, in this order. Meanwhile a row of logged that is of such a leaf has its number here, less
-- than zero.

-- +goose Up

CREATE TABLE log_again (
    number      BIGINT NOT NULL PRIMARY KEY,
    leaf        BLOB   NOT NULL
);

CREATE INDEX logged_number ON logged (number);
