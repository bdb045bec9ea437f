package onion

import (
	"io"

	"golang.org/x/crypto/cryptobyte"
)

// Entry is what a user hands to a server, inside TLS only and never broadcast: a bare inner packet and the server that
// it is for.
//
//	version    1
//	suite      1
//	zero       2
//	first     32   id of the first server of the inner route
//	inner  15980
//	token    368   a token for the server, then padding
type Entry struct {
	First ServerID
	Inner Inner
	Token []byte // up to EntryPadSize bytes to send; all EntryPadSize once parsed: the token's own form says where it ends
}

// Marshal returns the frame, Size bytes. What the token leaves free is filled from rand. It refuses with ErrLength (the
// zero Inner, or a token of more than EntryPadSize bytes).
func (e Entry) Marshal(rand io.Reader) ([]byte, error) {
	if e.Inner.IsZero() || len(e.Token) > EntryPadSize {
		return nil, ErrLength
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, Size))
	b.AddUint8(Version)
	b.AddUint8(Suite)
	b.AddUint16(0 /* reserved */)
	b.AddBytes(e.First[:])
	b.AddBytes(e.Inner.raw[:])
	b.AddBytes(e.Token)
	used := len(b.BytesOrPanic())
	frame := b.BytesOrPanic()[:Size]
	return frame, fill(rand, frame[used:])
}

// ParseEntry takes ownership of raw (Size bytes; nothing is copied). It refuses with ErrLength, ErrVersion, ErrSuite, or
// ErrCommand if the reserved bytes are not zero.
func ParseEntry(raw []byte) (Entry, error) {
	if len(raw) != Size {
		return Entry{}, ErrLength
	}
	if err := checkHead(raw); err != nil {
		return Entry{}, err
	}
	s := cryptobyte.String(raw[2:])
	var e Entry
	var reserved uint16
	var inner []byte
	if !s.ReadUint16(&reserved) || reserved != 0 || !s.CopyBytes(e.First[:]) || !s.ReadBytes(&inner, InnerSize) {
		return Entry{}, ErrCommand
	}
	e.Inner, e.Token = newInner((*[InnerSize]byte)(inner)), s
	return e, nil
}
