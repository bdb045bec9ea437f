-- Devices of users, who read one queue each for itself.

-- +goose Up

-- The devices that the newest card of an owner lists, by the serial of that card; seen is when
-- each was logged in here last, 0 for never. An owner without any has no row.
CREATE TABLE devices (
    owner       BLOB   NOT NULL,
    device      BLOB   NOT NULL,
    serial      BIGINT NOT NULL,
    seen        BIGINT NOT NULL,
    PRIMARY KEY (owner, device)
);

-- Who of an owner with devices has an item already; reader is a device, or the owner's own
-- fingerprint. The rows go with the item.
CREATE TABLE forgotten (
    owner       BLOB   NOT NULL,
    reader      BLOB   NOT NULL,
    seq         BIGINT NOT NULL,
    PRIMARY KEY (owner, seq, reader)
);
