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

-- name: DropOldestForgotten :execrows
DELETE FROM items WHERE items.owner = $1 AND items.seq = (
    SELECT MIN(f.seq) FROM forgotten f WHERE f.owner = items.owner AND f.reader = items.owner);

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
