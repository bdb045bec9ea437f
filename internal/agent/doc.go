// Package agent is a user's side of P3DO: her identity, the people she knows, the
// messages that she sent and got, and the link to her home.
//
// The nouns: an [Agent] is her program at work in her folder. A [Status] says how far a
// text of hers has come; a [Message] is a text that came. A contact is somebody she wrote
// to or who wrote to her, with the identity key that is pinned for the name; who is one by
// her own choice (written to, added, verified) is no stranger.
//
//	a, err := agent.New(ctx, agent.Config{Home: dir, Passphrase: p, DNS: dns, Dial: dial.Direct()}, name)
//	a, err = agent.Open(ctx, cfg)                                // ever after
//	status, err := a.Send(ctx, bob, "hello", agent.Way{})
//	status, err = a.Wait(ctx, id, mor.StoredThere, func(s agent.Status) { fmt.Println(s.State) })
//	err = a.Fetch(ctx)                                           // what waits at the home
//	ok, err := a.Show(ctx, func(m agent.Message) error { ... })  // each once; strangers' by ShowRequest
//
// # Whom it talks to
//
// To the home, and nobody else (row X1): DNS is asked for the home's own name only, the
// home's key server for the home's descriptor, and everything about other people and
// servers comes over the link, signed, and is judged here. Every connection goes through
// [Config].Dial.
//
// # What it trusts
//
// No key is believed because somebody's own server shows it. The node that the user is connected
// to hands out what every domain says of the others: signed views, revocations,
// successions and moves (package pki). All of it is kept, verified, and is the evidence by which [pki.Judge] judges
// every domain; nobody is asked about a contact.
//
// Whose word counts is on a list: whom the invitation names; if it names nobody, whom the
// home's view names at first sight, 16 at most, and for a day more if those are too few; then
// whoever is pinned, by two of the list or by the user herself, 64 in all. The home's own word counts for nothing but to
// begin that list, and for what DNS says. Two of the list have to agree. What they agree on is
// pinned, and given up only for its heir, by right (pki.Commitment). The home's own key is
// pinned at first sight.
//
// A domain's servers may show another key than the pinned one: in the directory, in a card, or
// when a card is looked up. That is evidence, too. Then nothing is sent there, and the error
// says who vouches for which key (*[TrustError]). If DNS alone has another key, it is told of
// ([Agent.Warnings]) and stops nothing. Nothing is sent either to somebody whose home nobody
// confirms, unless the user herself has verified the key ([Agent.Accept]). Letters are taken in
// all the same if the pinned key, its heir, or one that handed over to it has certified their
// writer; how she stands is told with them ([Standing]). Letters that another authority has
// certified are left at the home, and told of by [Agent.Trouble].
//
// A contact's pin is on her identity key. It stays if her home shows another one, and if her
// domain ends her name; her own revocation drops it, what is on its way to her is tried no
// more, and the user is told once, by whichever program comes next ([Agent.Warnings], Config.Tell). Our own name is looked up as well, once an hour: a home that shows another key under it
// is told of. Its key log is read to the end (scan.go): so is an entry for our name that is of no card of our key, and a log that is not shown.
//
// A card comes with a proof that it is in the key log of its home, if that keeps one; it is verified under
// the log's key in the home's descriptor, and counts who has cosigned of those on the list that watch
// that log. Without it somebody new is unconfirmed ([pki.JudgeName]); [Report].Log tells of it.
//
// Relays are servers that are pinned, show no other key, and that another domain stands by with
// its countersignature; those for whom one has done so for 7 days go first.
//
// What cannot be judged yet is left at the home, too: 256 letters, 32 of one contact and 48 by
// keys that are pinned for nobody, each for 8 days from when it was seen first. The newest of
// more are dropped and counted ([Counts]). A certificate that ended while a letter waited is
// judged by the letter's date, if the key in it is the pinned one.
//
// # Several programs, one folder
//
// All state is in a vault (package vault), in which a transaction runs alone among all
// processes; the keys are listed in record.go. An Agent keeps nothing in memory that
// another program may change. In particular a mor.Sender lives for one transaction only:
//
//	Update: read messages of the outbox -> mor.Sender -> one call -> write what it saves
//	then:   hand its copies to the home
//	Update: write what the home said
//
// So a copy that is due is made by one program and by no other, and a crash between the
// steps leaves it due again: at worst something is sent twice under one id, which the
// recipient shows once. Two programs may fetch the same item; the second finds that it is
// known, and [Agent.Show] lets one of them at a time show what came. The home forgets an item
// when it is durable here.
//
// # Texts and acknowledgements
//
// A text that comes is kept, the contact updated, and the acknowledgement put in the outbox
// in one transaction. An acknowledgement is a message like any other: receipted by its
// spool, retransmitted until it is, and from outside not to be told from a text. It ends
// when it is stored. A text that comes again is acknowledged again, unless that is still on
// its way.
//
// What a stranger writes is kept, acknowledged and shown once like all else, but apart, in requests
// (row R4, request.go), and bounded there: 100 texts that were not shown, 10 of one stranger, and 500
// strangers, of whom the one silent longest, for 40 days at least, makes room. What is beyond is left
// at the home as if its writer were not known, and not acknowledged until there is room. A stranger
// becomes a contact when she is written to, added ([Agent.Add]), verified, or has taken an invitation
// of ours ([Agent.Invite], [Agent.Take]), and what of hers was not
// shown waits with the contacts' from then on; [Agent.Drop] forgets her.
//
// Before a message is copied again the directory is fetched anew, if it is more than a minute
// old: a server that has lost its key gets nothing until its new one is known.
//
// # Who she is
//
// All that is secret about a user for long follows from 32 random bytes, her root, by
// HKDF-SHA256: identity key, keys for messages, mailboxes, and what each contact gets to write to
// her (identity.go). So 24 words are enough to be her again ([Agent.BackupWords],
// [RestoreWords]); a file has her contacts and pins, too ([Agent.Backup], [Restore]). A
// pseudonym needs no home ([NewKeyonly]), and may get one later.
//
// She may leave her home for another one ([Move]), and stays who she is: her key signs it, and who has
// pinned that finds her under the new name ([MovedError]). The old home is not needed for it.
//
// The key that can end the identity key does not follow from the root. It lies in the vault,
// where it harms nobody: who can read it there has the identity key anyway, and can do worse.
// It is of use outside, when the vault is lost: [Agent.Revocable] is what to put away.
//
// # Several devices
//
// Her root and identity key are in one folder, the main one. Others are those of devices ([Agent.AddDevice],
// [Link], [Join]): each logs in by a key of its own, which her card lists, and reads her mail for itself;
// what it must not do without her key is [ErrDevice]. The keys for messages are the same on all; a device
// finds them, sealed for it, in the card (linked.go). [Agent.RemoveDevice] takes one off the card, which
// has new keys then that it cannot open. If she moves, her devices follow (along.go). Contacts, pins
// and texts are not brought together: each folder knows what it was linked with and what came since.
//
// The format of messages is package message's.
package agent
