package store

import (
	"errors"
	"time"
)

// What the store takes at most. A full table refuses with [ErrFull], but for
// the cache of foreign users and the serials of device lists, from which the oldest goes.
const (
	MaxSubject     = 320       // bytes of a name or domain: 64 of a local part, @, 253 of a domain, and a little more
	MaxRaw         = 64 << 10  // bytes of one card, certificate or descriptor
	MaxCachedUsers = 100_000   // copies of foreign users' cards
	MaxServers     = 20_000    // server descriptors
	MaxPeers       = 10_000    // federated domains
	MaxPins        = 200_000   // first fingerprints
	MaxAddresses   = 16_384    // mailbox addresses of one owner
	MaxClaim       = 1_024     // addresses in one Claim
	MaxBody        = 16 << 10  // bytes of one item
	MaxItems       = 10_000    // items waiting for one owner
	MaxMarks       = 8_000_000 // marks that have not ended
	MaxPage        = 1_000     // rows that one call of Items returns
	MaxFormer      = 64        // keys that handed over to a pinned one
	MaxEvents      = 10_000    // events that are kept
	MaxEventsEach  = 256       // of them about one domain
	MaxWords       = 1_024     // bytes of what an event says
	MaxWitnessed   = 20_000    // logs whose heads were cosigned, and logs that are copied
	MaxTile        = 1 << 20   // bytes of one tile of a log
	MaxMirrorBytes = 4 << 30   // bytes of the tiles of all logs that are copied
	MaxCopiesEach  = 65_536    // copies of the cards of one peer's users
	MaxCopyBytes   = 4 << 30   // bytes of all copies of peers' users
	MaxDeviceLists = 200_000   // owners of whom it is known how new the list of their devices is

	MaxCopyBytesEach = 128 << 20 // bytes of the copies of one peer's users
)

// ItemLife is how long an item waits for its owner, and how long its (mailbox,
// kind, id) stays known after the deposit. Server keys, with which a late copy
// could still be opened, live for three periods of seven days: the one before their
// own, when they are published ahead, their own, and the next.
const ItemLife = 30 * 24 * time.Hour

var (
	// ErrNotFound says that there is no row of that key.
	ErrNotFound = errors.New("store: not found")

	// ErrFull says that a table or an owner's share of one is at its cap.
	ErrFull = errors.New("store: full")

	// ErrTooLarge says that a value is longer, or a number greater, than its cap.
	ErrTooLarge = errors.New("store: too large")

	// ErrOtherKey says that a name or domain has another key on record; it
	// stays.
	ErrOtherKey = errors.New("store: another key is on record")

	// ErrOldSerial says that the record on hand is newer, or as new and different.
	ErrOldSerial = errors.New("store: serial is not greater")

	// ErrOwn says that a copy would replace a record of this domain.
	ErrOwn = errors.New("store: record belongs to this domain")

	// ErrOwned says that somebody else claimed the mailbox address before.
	ErrOwned = errors.New("store: mailbox has another owner")

	// ErrNoMailbox says that nobody claimed the address, or not for that day.
	ErrNoMailbox = errors.New("store: no such mailbox")

	// ErrUsed says that a mailbox that takes one item has taken another.
	ErrUsed = errors.New("store: invitation was used")

	// ErrNewer says that a newer version of this program wrote the file.
	ErrNewer = errors.New("store: file was written by a newer version")

	// ErrOlder says that an older version of this program wrote the file; Open
	// brings it forward, OpenReader does not.
	ErrOlder = errors.New("store: file was written by an older version")

	// ErrReader says that the Store was opened for reading only.
	ErrReader = errors.New("store: opened for reading only")

	// ErrClosed says that the Store was closed before the write began.
	ErrClosed = errors.New("store: closed")
)
