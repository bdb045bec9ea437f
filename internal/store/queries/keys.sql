-- Parameters ascend and are never repeated: drivers disagree about $2 before $1.

-- name: PutRing :exec
INSERT INTO ring (kind, subject, fingerprint, raw, card, serial, not_after)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (kind, subject, fingerprint)
DO UPDATE SET raw = excluded.raw, card = excluded.card, serial = excluded.serial,
    not_after = excluded.not_after;

-- name: PutCertificate :exec
INSERT INTO certificates (kind, subject, fingerprint, raw, not_after)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (kind, subject, fingerprint)
DO UPDATE SET raw = excluded.raw, not_after = excluded.not_after;

-- name: CertificateByFingerprint :one
SELECT kind, subject, fingerprint, raw, not_after FROM certificates
WHERE fingerprint = $1 ORDER BY not_after DESC, kind, subject LIMIT 1;

-- name: PutUser :exec
INSERT INTO users (name, fingerprint, certificate, card, serial, not_after, origin, stored_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (name)
DO UPDATE SET fingerprint = excluded.fingerprint, certificate = excluded.certificate,
    card = excluded.card, serial = excluded.serial, not_after = excluded.not_after,
    origin = excluded.origin, stored_at = excluded.stored_at;

-- name: User :one
SELECT name, fingerprint, certificate, card, serial, not_after, origin, stored_at
FROM users WHERE name = $1;

-- name: UserByFingerprint :one
SELECT name, fingerprint, certificate, card, serial, not_after, origin, stored_at
FROM users WHERE fingerprint = $1
ORDER BY CASE origin WHEN 'home' THEN 0 ELSE 1 END, not_after DESC, name LIMIT 1;

-- name: DropOldestCachedUser :execrows
DELETE FROM users WHERE name IN (
    SELECT u.name FROM users u WHERE u.origin = 'cache' ORDER BY u.stored_at, u.name LIMIT 1);

-- name: PutServer :exec
INSERT INTO servers (domain, ca, serial, descriptor, not_after, origin)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (domain)
DO UPDATE SET ca = excluded.ca, serial = excluded.serial, descriptor = excluded.descriptor,
    not_after = excluded.not_after, origin = excluded.origin;

-- name: Server :one
SELECT domain, ca, serial, descriptor, not_after, origin FROM servers WHERE domain = $1;

-- name: ServersAfter :many
SELECT domain, ca, serial, descriptor, not_after, origin FROM servers
WHERE domain > $1 ORDER BY domain LIMIT $2;

-- name: OnlyInRing :many
SELECT r.kind, r.subject, r.fingerprint FROM ring r
WHERE NOT EXISTS (SELECT 1 FROM users u WHERE r.kind = 'user' AND u.origin = 'home'
        AND u.name = r.subject AND u.fingerprint = r.fingerprint
        AND u.certificate = r.raw AND u.card = r.card)
  AND NOT EXISTS (SELECT 1 FROM servers s WHERE r.kind = 'descriptor' AND s.origin = 'home'
        AND s.domain = r.subject AND s.ca = r.fingerprint AND s.descriptor = r.raw)
  AND NOT EXISTS (SELECT 1 FROM certificates c WHERE c.kind = r.kind
        AND c.subject = r.subject AND c.fingerprint = r.fingerprint AND c.raw = r.raw)
ORDER BY r.kind, r.subject, r.fingerprint;

-- name: UsersNotInRing :many
SELECT u.name, u.fingerprint FROM users u
WHERE u.origin = 'home' AND NOT EXISTS (SELECT 1 FROM ring r WHERE r.kind = 'user'
        AND r.subject = u.name AND r.fingerprint = u.fingerprint
        AND r.raw = u.certificate AND r.card = u.card)
ORDER BY u.name;

-- name: ServersNotInRing :many
SELECT s.domain, s.ca FROM servers s
WHERE s.origin = 'home' AND NOT EXISTS (SELECT 1 FROM ring r WHERE r.kind = 'descriptor'
        AND r.subject = s.domain AND r.fingerprint = s.ca AND r.raw = s.descriptor)
ORDER BY s.domain;

-- name: CertificatesNotInRing :many
SELECT c.kind, c.subject, c.fingerprint FROM certificates c
WHERE NOT EXISTS (SELECT 1 FROM ring r WHERE r.kind = c.kind
        AND r.subject = c.subject AND r.fingerprint = c.fingerprint AND r.raw = c.raw)
ORDER BY c.kind, c.subject, c.fingerprint;

-- name: RingKey :one
SELECT raw, card, serial, not_after FROM ring
WHERE kind = $1 AND subject = $2 AND fingerprint = $3;

-- name: Certificate :one
SELECT raw, not_after FROM certificates
WHERE kind = $1 AND subject = $2 AND fingerprint = $3;

-- name: CachedUsersOf :many
SELECT name FROM users WHERE origin = 'cache' AND name LIKE sqlc.arg(pattern) ORDER BY random() LIMIT sqlc.arg(most);
