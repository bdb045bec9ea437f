package onion

import "io"

// A stack S is `slots` slots over the content, size() bytes, of which a hop sees
//
//	enc     t.enc     KEM encapsulation
//	tag     16        AEAD tag
//	sealed  t.sealed  AES-256-GCM of [command | rest]
//
// and makes the next one of the same size: rest | PRG(filler key, one slot). The appended bytes are authenticated by
// the next hop like all others, so the builder computes them in advance, as Sphinx does.

// commandFunc returns the command of hop i, given the stack that hop i will hand on; next is nil for the last hop.
type commandFunc func(i int, next []byte) []byte

// build writes into stack (size() bytes) what the first of the hops sees. content ends up in front of the last hop;
// the slots that no hop uses are random.
func (t tier) build(rand io.Reader, aad []byte, hops []layer, content, stack []byte, command commandFunc) error {
	slot, size, last := t.slot(), t.size(), len(hops)-1
	tail := t.tail(hops)
	copy(stack, content)
	if err := fill(rand, stack[len(content):size-slot-len(tail)]); err != nil {
		return err
	}
	copy(stack[size-slot-len(tail):], tail)

	text := make([]byte, 0, t.sealed()+aeadTagSize)
	for i := last; i >= 0; i-- {
		next := stack
		if i == last {
			next = nil
		}
		hop := &hops[i]
		text = append(append(text[:0], command(i, next)...), stack[:size-slot]...)
		text = hop.aead.Seal(text[:0], hop.nonce[:], text, aad)
		copy(stack, hop.enc)
		copy(stack[t.enc:], text[t.sealed():])
		copy(stack[t.enc+aeadTagSize:], text[:t.sealed()])
	}
	return nil
}

// tail returns the end of the innermost plaintext, one slot for each hop but the last, such that every hop finds, at
// the end of its stack, what the hops before it will have appended:
//
//	F_0     = empty
//	F_(i+1) = (F_i xor GCM key stream of hop i over its last len(F_i) bytes) | PRG(filler key of hop i, one slot)
//	tail    = F_last xor GCM key stream of the last hop, likewise
func (t tier) tail(hops []layer) []byte {
	slot := t.slot()
	f := make([]byte, 0, (len(hops)-1)*slot)
	for i := range hops {
		hops[i].keyStream(f, t.sealed()-len(f))
		if i < len(hops)-1 {
			f = f[:len(f)+slot]
			hops[i].filler(f[len(f)-slot:])
		}
	}
	return f
}

// open authenticates a stack and returns command | next stack, with room for extra more bytes. The last byte of the
// stack is as well protected as the first: what fails, fails with ErrAuth.
func (t tier) open(l *layer, aad, stack []byte, extra int) ([]byte, error) {
	opened := make([]byte, t.command+t.size(), t.command+t.size()+extra)
	n := copy(opened, stack[t.enc+aeadTagSize:])
	n += copy(opened[n:], stack[t.enc:t.enc+aeadTagSize])
	if _, err := l.aead.Open(opened[:0], l.nonce[:], opened[:n], aad); err != nil {
		return nil, ErrAuth
	}
	l.filler(opened[t.sealed():])
	return opened, nil
}
