// Package agent is a user's side of P3DO: her identity, the people she knows, the
// messages that she sent and got, and the link to her home.
//
// The nouns: an [Agent] is her program at work in her folder. A [Status] says how far a
// text of hers has come; a [Message] is a text that came. A contact is somebody she wrote
// to or who wrote to her, with the identity key that was first seen under the name.
//
//	a, err := agent.New(ctx, agent.Config{Home: dir, Passphrase: p, DNS: dns, Dial: dial.Direct()}, name)
//	a, err = agent.Open(ctx, cfg)                                // ever after
//	status, err := a.Send(ctx, bob, "hello", agent.Way{})
//	status, err = a.Wait(ctx, id, mor.StoredThere, func(s agent.Status) { fmt.Println(s.State) })
//	err = a.Fetch(ctx)                                           // what waits at the home
//	ok, err := a.Show(ctx, func(m agent.Message) error { ... })  // each once
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
// The authority key of the home, of every other domain, and the identity key of every
// contact are pinned when they are first seen ([FirstSeen]). Another key is refused with a
// *pki.KeyChangedError: nothing is sent to it or through it, and messages under it are left
// at the home and told of by [Agent.Trouble].
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
// Before a message is copied again the directory is fetched anew, if it is more than a minute
// old: a server that has lost its key gets nothing until its new one is known.
//
// The format of messages is package message's.
package agent
