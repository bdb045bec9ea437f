-- name: Devices :many
SELECT owner, device, serial, seen FROM devices WHERE owner = $1 ORDER BY device;

-- name: CountDevices :one
SELECT COUNT(*) FROM devices WHERE owner = $1;

-- name: PutDevice :exec
INSERT INTO devices (owner, device, serial, seen) VALUES ($1, $2, $3, 0)
ON CONFLICT (owner, device) DO UPDATE SET serial = excluded.serial;

-- name: DropOlderDevices :exec
DELETE FROM devices WHERE owner = $1 AND serial < $2;

-- name: SeeDevice :exec
UPDATE devices SET seen = $1 WHERE owner = $2 AND device = $3;

-- name: AddForgotten :execrows
INSERT INTO forgotten (owner, reader, seq)
SELECT i.owner, sqlc.arg(reader), i.seq FROM items i WHERE i.owner = sqlc.arg(owner) AND i.seq = sqlc.arg(seq)
ON CONFLICT (owner, seq, reader) DO NOTHING;

-- name: DropRead :execrows
DELETE FROM items WHERE items.owner = $1 AND items.seq = $2 AND NOT EXISTS (
    SELECT 1 FROM devices d WHERE d.owner = items.owner AND NOT EXISTS (
        SELECT 1 FROM forgotten f WHERE f.owner = items.owner AND f.seq = items.seq AND f.reader = d.device))
AND EXISTS (SELECT 1 FROM forgotten g WHERE g.owner = items.owner AND g.seq = items.seq AND g.reader = items.owner);

-- name: DropAllRead :execrows
DELETE FROM items WHERE items.owner = $1 AND NOT EXISTS (
    SELECT 1 FROM devices d WHERE d.owner = items.owner AND NOT EXISTS (
        SELECT 1 FROM forgotten f WHERE f.owner = items.owner AND f.seq = items.seq AND f.reader = d.device))
AND EXISTS (SELECT 1 FROM forgotten g WHERE g.owner = items.owner AND g.seq = items.seq AND g.reader = items.owner);

-- name: OldestForgotten :one
SELECT seq FROM forgotten WHERE owner = $1 AND reader = $2 ORDER BY seq LIMIT 1;

-- name: DropForgotten :exec
DELETE FROM forgotten WHERE NOT EXISTS (
    SELECT 1 FROM items i WHERE i.owner = forgotten.owner AND i.seq = forgotten.seq);

-- name: DropForgottenOf :exec
DELETE FROM forgotten WHERE forgotten.owner = $1 AND NOT EXISTS (
    SELECT 1 FROM items i WHERE i.owner = forgotten.owner AND i.seq = forgotten.seq);

-- name: DropDevices :exec
DELETE FROM devices WHERE owner NOT IN (SELECT owner FROM owners);

-- name: DropDevicesOf :exec
DELETE FROM devices WHERE owner = $1;

-- name: DropForgottenItem :exec
DELETE FROM forgotten WHERE owner = $1 AND seq = $2;

-- name: DeviceList :one
SELECT serial FROM device_lists WHERE owner = $1;

-- name: PutDeviceList :exec
INSERT INTO device_lists (owner, serial, seq) VALUES ($1, $2, $3)
ON CONFLICT (owner) DO UPDATE SET serial = excluded.serial, seq = excluded.seq;

-- name: DropOldestDeviceList :exec
DELETE FROM device_lists WHERE owner = (SELECT l.owner FROM device_lists l ORDER BY l.seq, l.owner LIMIT 1);

-- name: NewestCardOf :one
SELECT name, fingerprint, certificate, card, serial, not_after, origin, stored_at
FROM users WHERE fingerprint = $1 AND LENGTH(card) > 0 ORDER BY serial DESC, name LIMIT 1;
