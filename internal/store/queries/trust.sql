-- name: AddStatement :exec
INSERT INTO statements (seq, kind, issuer, id, serial, ends, raw) VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: DropStatement :execrows
DELETE FROM statements WHERE kind = $1 AND issuer = $2 AND id = $3;

-- name: Statement :one
SELECT seq, kind, issuer, id, serial, ends, raw FROM statements
WHERE kind = $1 AND issuer = $2 AND id = $3;

-- name: StatementByID :one
SELECT seq, kind, issuer, id, serial, ends, raw FROM statements
WHERE kind = $1 AND id = $2 ORDER BY serial DESC, seq LIMIT 1;

-- name: StatementsAfter :many
SELECT seq, kind, issuer, id, serial, ends, raw FROM statements
WHERE seq > $1 ORDER BY seq LIMIT $2;

-- name: StatementsOf :many
SELECT seq, kind, issuer, id, serial, ends, raw FROM statements
WHERE kind = sqlc.arg(kind) AND issuer >= sqlc.arg(first) AND issuer <= sqlc.arg(last) ORDER BY seq;

-- name: CountStatements :one
SELECT COUNT(*) FROM statements WHERE kind = $1 AND issuer = $2;

-- name: CountStatementsWithin :one
SELECT COUNT(*) FROM statements
WHERE kind = sqlc.arg(kind) AND issuer >= sqlc.arg(first) AND issuer < sqlc.arg(last);

-- name: OldestStatementWithin :one
SELECT seq, kind, issuer, id, serial, ends, raw FROM statements
WHERE kind = sqlc.arg(kind) AND issuer >= sqlc.arg(first) AND issuer < sqlc.arg(last) ORDER BY seq LIMIT 1;

-- name: StatementsFrom :many
SELECT seq, kind, issuer, id, serial, ends, raw FROM statements
WHERE kind = sqlc.arg(kind) AND (issuer, id) > (sqlc.arg(issuer), CAST(sqlc.arg(id) AS BLOB))
ORDER BY issuer, id LIMIT sqlc.arg(most);

-- name: CrowdedIssuer :one
SELECT issuer, COUNT(*) AS held FROM statements
WHERE kind = sqlc.arg(kind) AND issuer >= sqlc.arg(first) AND issuer < sqlc.arg(last)
GROUP BY issuer ORDER BY COUNT(*) DESC, issuer LIMIT 1;

-- name: EndedStatements :many
SELECT kind, CAST(SUM(LENGTH(raw)) AS BIGINT) AS size FROM statements
WHERE ends > 0 AND ends <= $1 GROUP BY kind;

-- name: DropStatements :execrows
DELETE FROM statements WHERE ends > 0 AND ends <= $1;

-- name: NextNumber :one
UPDATE counters SET value = value + 1 WHERE name = $1 RETURNING value;

-- name: BeginCount :exec
INSERT INTO counters (name, value) VALUES ($1, 0) ON CONFLICT (name) DO NOTHING;

-- name: Number :one
SELECT value FROM counters WHERE name = $1;

-- name: PutSighting :exec
INSERT INTO sightings (domain, dns, secure, dns_at, home, home_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (domain)
DO UPDATE SET dns = excluded.dns, secure = excluded.secure, dns_at = excluded.dns_at,
    home = excluded.home, home_at = excluded.home_at;

-- name: Sightings :many
SELECT domain, dns, secure, dns_at, home, home_at FROM sightings ORDER BY domain;

-- name: AddEvent :exec
INSERT INTO events (seq, at, domain, kind, words) VALUES ($1, $2, $3, $4, $5);

-- name: DropEvents :execrows
DELETE FROM events WHERE seq <= $1;

-- name: OldEvent :one
SELECT seq FROM events WHERE domain = $1 ORDER BY seq DESC LIMIT 1 OFFSET $2;

-- name: DropEventsOf :execrows
DELETE FROM events WHERE domain = $1 AND seq <= $2;

-- name: EventsSince :many
SELECT seq, at, domain, kind, words FROM events WHERE at >= $1 ORDER BY seq;

-- name: AddFormer :exec
INSERT INTO former (domain, fingerprint, ca) VALUES ($1, $2, $3) ON CONFLICT (domain, fingerprint) DO NOTHING;

-- name: FormerOf :many
SELECT domain, fingerprint, ca FROM former WHERE domain = $1 ORDER BY fingerprint;

-- name: Pins :many
SELECT kind, subject, fingerprint, trust, since, former, successor, root FROM pins WHERE kind = $1 ORDER BY subject;

-- name: MovePin :execrows
UPDATE pins SET fingerprint = sqlc.arg(fingerprint), trust = sqlc.arg(trust), since = sqlc.arg(since),
    former = sqlc.arg(former), successor = sqlc.arg(successor), root = sqlc.arg(root)
WHERE kind = sqlc.arg(kind) AND subject = sqlc.arg(subject) AND fingerprint = sqlc.arg(given_up);

-- name: PutFullPin :execrows
INSERT INTO pins (kind, subject, fingerprint, trust, since, former, successor, root)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (kind, subject) DO NOTHING;

-- name: DropPeer :execrows
DELETE FROM peers WHERE domain = $1;

-- name: DropCertificates :execrows
DELETE FROM certificates WHERE kind = $1 AND subject = $2;

-- name: DropRing :execrows
DELETE FROM ring WHERE kind = $1 AND subject = $2;

-- name: DropRingKey :execrows
DELETE FROM ring WHERE kind = $1 AND subject = $2 AND fingerprint = $3;

-- name: UsersOfKey :many
SELECT name, fingerprint, certificate, card, serial, not_after, origin, stored_at
FROM users WHERE fingerprint = $1;

-- name: DropUser :execrows
DELETE FROM users WHERE name = $1 AND fingerprint = $2;
