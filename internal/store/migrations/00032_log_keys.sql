-- Which key of a domain its log has, as far as our copy of it goes.

-- +goose Up

-- Of a copy: how many of its leaves were read for this, the fingerprint of the newest key of the domain among
-- them (none: empty), and from when on, and when last, we saw enough cosignatures over that; seconds, 0: never.
ALTER TABLE mirrors ADD COLUMN key_read  BIGINT NOT NULL DEFAULT 0;
ALTER TABLE mirrors ADD COLUMN key       BLOB   NOT NULL DEFAULT '';
ALTER TABLE mirrors ADD COLUMN key_since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE mirrors ADD COLUMN key_seen  BIGINT NOT NULL DEFAULT 0;
