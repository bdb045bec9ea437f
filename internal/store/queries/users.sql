-- name: AddInvitation :execrows
INSERT INTO invitations (hash, name, made, expires, used, taker) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (hash) DO NOTHING;

-- name: Invitation :one
SELECT hash, name, made, expires, used, taker FROM invitations WHERE hash = $1;

-- name: UseInvitation :execrows
UPDATE invitations SET used = $1, taker = $2 WHERE hash = $3 AND used = 0;

-- name: Invitations :many
SELECT hash, name, made, expires, used, taker FROM invitations ORDER BY made, hash;

-- name: DropInvitations :execrows
DELETE FROM invitations WHERE expires <= $1;

-- name: PutQuota :execrows
INSERT INTO quotas (name, messages) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING;

-- name: ReplaceQuota :execrows
UPDATE quotas SET messages = $1 WHERE name = $2;

-- name: Quota :one
SELECT messages FROM quotas WHERE name = $1;

-- name: OwnUsersAfter :many
SELECT subject, fingerprint, not_after FROM ring
WHERE kind = 'user' AND subject > $1 ORDER BY subject, fingerprint LIMIT $2;
