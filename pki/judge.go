package pki

import (
	"cmp"
	"slices"
	"time"
)

// Judge reads the evidence about a subject's key and says what to do. It is total: every
// evidence has exactly one verdict, and none is an error. The laws that its tests hold:
//
//   - DNS alone never replaces a pin, nor stops a message to a pinned key.
//   - Absence is never disagreement: while nobody states another key, a pinned one goes on.
//   - A revocation wins: no verdict names a revoked key.
//   - A word more for a key never lowers the trust in it.
//   - A pinned key gives way only to one that a quorum of the judge's peers vouches for, or
//     to its heir when its own servers show that.
//
// The table is docs/spec/pki.md, "Judgement".
func Judge(e Evidence, now time.Time) Verdict {
	s := stancesOf(e, now)
	v := s.verdict()
	v.For, v.Against = s.peers(v.Key)
	v.DNSAltered = v.Key != Fingerprint{} && !silentOr(s.dns, v.Key) && !silentOr(s.dns, s.pin.Key) && s.dns != s.heir
	if v.DNSAltered {
		v.Send = min(v.Send, SendWarned)
	}
	if v.Row == RowRotated {
		v.Passed = e.Passed
	}
	return v
}

// stances are what each source says, once those that count nothing are out.
type stances struct {
	pin     Pin           // the zero key: nothing is pinned
	dropped bool          // there was a pin, of a key that was revoked
	dns     Fingerprint   // the zero key, here and below: it says nothing
	secure  bool          // about dns
	home    Fingerprint   // what the home's servers show
	heir    Fingerprint   // the key that the pinned one handed over to
	vouches []Vouch       // of distinct peers, ascending by peer
	backed  []Fingerprint // keys that a quorum vouches for, ascending
	log     LogState      // what is known of the log
	logged  Fingerprint   // the newest key in it
	ripe    bool          // logged has stood in it for LogPatience, unchallenged
}

func stancesOf(e Evidence, now time.Time) stances {
	valid := func(k Fingerprint) Fingerprint {
		passed := slices.Contains(e.Pin.Former, k) || slices.Contains(e.Passed, k)
		if slices.Contains(e.Revoked, k) || passed && k != e.Pin.Key {
			return Fingerprint{}
		}
		return k
	}
	s := stances{
		pin: e.Pin, dns: valid(e.DNS.Key), secure: e.DNS.Secure, home: valid(e.Home), heir: valid(e.Rotation),
		vouches: distinct(e.Vouches, e.Domain, valid), log: e.Log.State,
	}
	s.pin.Key = valid(e.Pin.Key)
	s.dropped = s.pin.Key != e.Pin.Key
	if !s.pinned() && !s.dropped {
		s.heir = Fingerprint{} // nobody can have handed over
	}
	s.backed = backed(s.vouches, max(1, e.Quorum))
	if s.log == LogCurrent {
		s.logged = valid(e.Log.Newest)
		s.ripe = e.Log.ripe(now)
	}
	return s
}

// distinct keeps one word of each peer: none of the subject's own domain, and none of a
// peer that vouches for two keys.
func distinct(all []Vouch, own Domain, valid func(Fingerprint) Fingerprint) []Vouch {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b Vouch) int {
		return cmp.Or(cmp.Compare(a.Peer.String(), b.Peer.String()), slices.Compare(a.Key[:], b.Key[:]))
	})
	all = slices.Compact(all)
	var kept []Vouch
	for i, v := range all {
		twice := i > 0 && all[i-1].Peer == v.Peer || i+1 < len(all) && all[i+1].Peer == v.Peer
		if !twice && v.Peer != own && valid(v.Key) != (Fingerprint{}) {
			kept = append(kept, v)
		}
	}
	return kept
}

// backed are the keys that at least quorum of the vouches are for.
func backed(vouches []Vouch, quorum int) (keys []Fingerprint) {
	count := make(map[Fingerprint]int)
	for _, v := range vouches {
		if count[v.Key]++; count[v.Key] == quorum {
			keys = append(keys, v.Key)
		}
	}
	slices.SortFunc(keys, func(a, b Fingerprint) int { return slices.Compare(a[:], b[:]) })
	return keys
}

// peers are who vouches for key, and who for another.
func (s stances) peers(key Fingerprint) (for_, against []Domain) {
	for _, v := range s.vouches {
		if v.Key == key {
			for_ = append(for_, v.Peer)
		} else {
			against = append(against, v.Peer)
		}
	}
	return for_, against
}

// verdict goes through the rows: 15, 13, 12 and 5 first, for they overrule the others.
func (s stances) verdict() Verdict {
	switch {
	case s.dropped:
		return s.afterRevocation()
	case s.log == LogForked:
		return s.keep(RowForked)
	case s.pinned() && s.unlogged():
		return s.keep(RowUnlogged)
	case s.pinned():
		return s.known()
	case len(s.backed) > 1:
		return Verdict{Row: RowContested}
	default:
		return s.newcomer()
	}
}

func (s stances) pinned() bool { return s.pin.Key != Fingerprint{} }

// afterRevocation: whose key was revoked is held until a quorum and the log have another
// that DNS names too, or that the old one handed over to.
func (s stances) afterRevocation() Verdict {
	if len(s.backed) == 1 && s.log != LogForked {
		if k := s.backed[0]; s.inLog(k) && silentOr(s.home, k) && (s.dns == k || s.heir == k) {
			row := RowQuorum
			if s.heir == k {
				row = RowRotated
			}
			return s.accept(row, k, Vouched)
		}
	}
	return Verdict{Row: RowRevoked}
}

// newcomer judges a subject of whom nothing is pinned, rows 1 to 4.
func (s stances) newcomer() Verdict {
	if len(s.backed) == 1 {
		if k := s.backed[0]; s.inLog(k) && silentOr(s.home, k) {
			switch s.dns {
			case k:
				return s.accept(RowQuorum, k, Vouched)
			case Fingerprint{}:
				return s.accept(RowDNSAbsent, k, Vouched)
			default:
				return s.accept(RowDNSConflict, k, Vouched)
			}
		}
	}
	if s.dns != (Fingerprint{}) && !s.contradicted(s.dns) {
		return s.provisional()
	}
	return Verdict{Row: RowNone}
}

func (s stances) provisional() Verdict {
	v := Verdict{Row: RowProvisional, Key: s.dns, Trust: FirstSeen, Send: SendPublic, Recheck: RecheckPlain}
	if s.secure {
		v.Recheck = RecheckSecure
	}
	return v
}

// known judges a subject of whom a key is pinned, rows 6 to 11 and 14.
func (s stances) known() Verdict {
	switch k, new := s.pin.Key, s.successor(); {
	case new != (Fingerprint{}) && new == s.heir:
		return s.accept(RowRotated, new, s.pin.Trust)
	case new != (Fingerprint{}) && s.dns == new:
		return s.replaced(new)
	case slices.Contains(s.backed, k) && (s.strange(s.home, k) || s.strange(s.logged, k)):
		return s.keep(RowHomeAltered)
	case s.contradicted(k):
		return s.keep(RowNone)
	case s.log == LogStale:
		return s.keep(RowLogStale)
	case !s.strange(s.dns, k):
		return s.keep(RowAgreed)
	case slices.Contains(s.backed, k):
		return s.keep(RowDNSAltered)
	default:
		return s.keep(RowDNSAlone)
	}
}

// replaced: everybody has a new key, but the pinned one did not hand over to it. After its
// time in the log it takes the place of a key that nobody has verified.
func (s stances) replaced(new Fingerprint) Verdict {
	if s.ripe && s.logged == new && s.pin.Trust < Verified {
		return s.accept(RowReplaced, new, Vouched)
	}
	return s.keep(RowReplaced)
}

// successor is the key other than the pinned one that a quorum vouches for and the log
// has, while the home shows no other and no quorum stays with the pinned one, unless that
// handed over. If its own servers show the key that it handed over to, it need not wait
// for peers, who would all wait for each other. The zero key: there is none.
func (s stances) successor() Fingerprint {
	if !silentOr(s.heir, s.pin.Key) && s.home == s.heir && s.inLog(s.heir) && !s.contradicted(s.pin.Key) {
		return s.heir
	}
	for _, k := range s.backed {
		home := silentOr(s.home, k) || s.home == s.pin.Key && k == s.heir
		alone := len(s.backed) == 1 || len(s.backed) == 2 && k == s.heir && slices.Contains(s.backed, s.pin.Key)
		if k != s.pin.Key && home && alone && s.inLog(k) {
			return k
		}
	}
	return Fingerprint{}
}

// unlogged reports whether a quorum vouches for a new key that a log, which the domain
// has, does not show.
func (s stances) unlogged() bool {
	return slices.ContainsFunc(s.backed, func(k Fingerprint) bool { return k != s.pin.Key && !s.inLog(k) })
}

// inLog reports whether k is the newest key in the log. The column is struck out for
// domains without a log.
func (s stances) inLog(k Fingerprint) bool { return s.log == NoLog || s.logged == k }

// contradicted reports whether home, log or a quorum of peers states a strange key. DNS
// does not count.
func (s stances) contradicted(k Fingerprint) bool {
	return s.strange(s.home, k) || s.strange(s.logged, k) ||
		slices.ContainsFunc(s.backed, func(stated Fingerprint) bool { return s.strange(stated, k) })
}

// strange reports whether stated is a key, but neither k nor, if k is the pinned one, the
// one that it handed over to.
func (s stances) strange(stated, k Fingerprint) bool {
	return !silentOr(stated, k) && (k != s.pin.Key || stated != s.heir)
}

// silentOr reports whether stated says nothing, or k.
func silentOr(stated, k Fingerprint) bool { return stated == Fingerprint{} || stated == k }

func (s stances) accept(row Row, k Fingerprint, t Trust) Verdict {
	return Verdict{Row: row, Key: k, Trust: t, Send: SendAll, Login: true}
}

// keep stays with the pin, if there is one: open while nobody but DNS contradicts it.
func (s stances) keep(row Row) Verdict {
	v := Verdict{Row: row, Key: s.pin.Key, Trust: s.pin.Trust, Send: SendAll, Login: true}
	switch {
	case !s.pinned():
		return Verdict{Row: row}
	case s.contradicted(s.pin.Key):
		v.Send = SendNothing
	case row == RowForked:
		v.Send = SendWarned
	}
	return v
}
