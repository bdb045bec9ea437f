package simulations

import "github.com/p3do/p3do/mor"

// deliver stores a letter and answers it, or hands a reply to its user.
func (n *Node) deliver(d mor.Delivery) {
	if d.Reply {
		for _, u := range n.users {
			if u.reply == d.Mailbox {
				n.world.After(n.world.cfg.Latency, func() { u.takeReply(d) })
			}
		}
		return
	}
	letter, err := mor.ParseLetter(d.Payload)
	if err != nil {
		return // a spool says nothing to what is no letter
	}
	n.world.note('d', n.index, letter.ID[:])
	status := n.store(d, letter)
	if letter.SURB == nil {
		return
	}
	n.world.counts.Receipts++
	out, err := n.Router.Reply(n.now(), *letter.SURB, mor.Receipt{ID: letter.ID, Status: status}.Marshal())
	if err != nil { // no way back now: the sender sends another copy
		n.world.note('e', n.index, letter.ID[:])
	}
	n.carryOut(out)
}

// store keeps the letter for its reader, once.
func (n *Node) store(d mor.Delivery, letter mor.Letter) mor.ReceiptStatus {
	for _, u := range n.users {
		if mor.DayMailbox(u.secret, letter.Day) != d.Mailbox {
			continue
		}
		for _, s := range n.spool {
			if s.to == u && s.letter.ID == letter.ID {
				n.world.counts.Duplicates++
				return mor.Stored
			}
		}
		n.world.counts.Stored++
		n.spool = append(n.spool, stored{u, letter})
		n.world.After(n.world.cfg.Latency, u.fetch)
		return mor.Stored
	}
	return mor.Unknown
}

// take hands u what waits for it and forgets it.
func (n *Node) take(u *User) []mor.Letter {
	var letters []mor.Letter
	kept := n.spool[:0]
	for _, s := range n.spool {
		if s.to == u {
			letters = append(letters, s.letter)
		} else {
			kept = append(kept, s)
		}
	}
	n.spool = kept
	return letters
}
