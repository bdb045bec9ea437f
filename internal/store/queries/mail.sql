-- name: AddOwner :exec
INSERT INTO owners (owner, addresses, items) VALUES ($1, 0, 0) ON CONFLICT (owner) DO NOTHING;

-- name: CountAddresses :execrows
UPDATE owners SET addresses = addresses + sqlc.arg(add) WHERE owner = sqlc.arg(owner) AND addresses <= sqlc.arg(room);

-- name: CountItems :execrows
UPDATE owners SET items = items + sqlc.arg(add) WHERE owner = sqlc.arg(owner) AND items <= sqlc.arg(room);

-- name: AddMailbox :execrows
INSERT INTO mailboxes (address, owner, kind, until_day) VALUES ($1, $2, $3, $4)
ON CONFLICT (address) DO NOTHING;

-- name: ExtendMailbox :execrows
UPDATE mailboxes SET kind = $1, until_day = $2 WHERE address = $3 AND owner = $4;

-- name: Mailbox :one
SELECT address, owner, kind, until_day FROM mailboxes WHERE address = $1;

-- name: AddDelivered :execrows
INSERT INTO delivered (mailbox, kind, id, until) VALUES ($1, $2, $3, $4)
ON CONFLICT (mailbox, kind, id) DO NOTHING;

-- name: DeliveredOthers :one
SELECT COUNT(*) FROM delivered WHERE mailbox = $1 AND id <> $2;

-- name: AddItem :exec
INSERT INTO items (owner, seq, mailbox, kind, id, body, at) VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: Items :many
SELECT owner, seq, mailbox, kind, id, body, at FROM items
WHERE items.owner = $1 AND items.seq > $2 AND NOT EXISTS (
    SELECT 1 FROM forgotten f WHERE f.owner = items.owner AND f.reader = $3 AND f.seq = items.seq)
ORDER BY items.seq LIMIT $4;

-- name: ForgetItem :execrows
DELETE FROM items WHERE owner = $1 AND seq = $2;

-- name: DropItems :execrows
DELETE FROM items WHERE at <= $1;

-- name: DropDelivered :execrows
DELETE FROM delivered WHERE until <= $1;

-- name: DropMailboxes :execrows
DELETE FROM mailboxes WHERE until_day < $1;

-- name: RecountOwners :exec
UPDATE owners SET
    addresses = (SELECT COUNT(*) FROM mailboxes m WHERE m.owner = owners.owner),
    items = (SELECT COUNT(*) FROM items i WHERE i.owner = owners.owner);

-- name: DropEmptyOwners :execrows
DELETE FROM owners WHERE addresses = 0 AND items = 0;

-- name: DropItemsOf :execrows
DELETE FROM items WHERE owner = $1;

-- name: DropMailboxesOf :exec
DELETE FROM mailboxes WHERE owner = $1;

-- name: DropOwner :exec
DELETE FROM owners WHERE owner = $1;
