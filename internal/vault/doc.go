// Package vault keeps a user's whole folder sealed under a passphrase: a small
// transactional key-value store in one append-only file.
//
// # Nouns
//
// A vault is a folder with one sealed file in it. A transaction is a set of
// puts and deletes that happens whole or not at all. A record is one sealed
// transaction in the file. The snapshot is the first transaction of a file: the
// state that the file starts from. A generation is one life of the file:
// compaction writes the next one and renames it over the last.
//
// # Use
//
//	v, err := vault.Create(dir, passphrase) // once; later vault.Open
//	defer v.Close()
//	err = v.Update(func(tx *vault.Tx) error {
//		tx.Put("outbox/1", sealed)
//		return nil // an error here: nothing is written
//	})
//	err = v.View(func(tx *vault.Tx) error {
//		return tx.Range("outbox/", func(key string, value []byte) error { ... })
//	})
//
// When Update returns nil the transaction is on the disk, folder entry
// included. A function given to Update or View must not start another
// transaction of the same Vault, which would wait for itself: that is ErrNested.
// Not noticed is a function that waits for another goroutine's transaction, or
// that uses a second Vault of the same folder.
//
// # Several processes
//
// Any number of processes may have the same vault open. A lock on the file
// "lock" is held for the length of one transaction (shared for View, exclusive
// for Update) and never longer; each transaction first reads what others have
// appended since, and reads anew when another process has compacted. What is
// done outside of the vault, by one process at a time, is done under [Vault.Turn].
//
// # In the folder
//
//	vault      the sealed file, mode 0600
//	vault.new  the next generation while it is being written; a crash may
//	           leave one behind, the next compaction overwrites it
//	lock       empty, mode 0600; never removed
//	turn       the same, for [Vault.Turn]
//
// # The file
//
//	header 139 | record | record | ...
//
//	record:  nonce 24 | sealed head 4+16 | sealed body 256*blocks+16
//	head:    blocks 4 (1 to 32768)
//	body:    more 1 | ops, ascending by key | zero bytes up to a multiple of 256
//	op:      1 | key length 2 | key | value length 3 | value      put
//	         2 | key length 2 | key                               delete
//
// Head and body are sealed with XChaCha20-Poly1305 under keys that belong to
// this file alone, with the file's id and the record's number as additional
// data: a record cannot be moved, left out in the middle, repeated or brought
// in from another file. What a crash left unfinished at the end is cut off;
// anything else that does not verify is ErrDamaged. A whole older copy of the
// file verifies: going back in time is not detected.
//
// [Destroy] overwrites the file, its header first, and removes the folder.
//
// The layout to the octet, all bounds, and what somebody learns who has the
// disk, are in docs/spec/vault.md.
package vault
