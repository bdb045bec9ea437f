package link

import (
	"errors"
	"net"
	"sync/atomic"
)

// recordSize is a slot as one TLS 1.3 record on the wire (RFC 8446 section 5.2): header 5, slot 16 384, content type 1,
// AEAD tag 16 with every cipher suite that crypto/tls has.
const recordSize = 5 + SlotSize + 1 + 16

var errOddRecord = errors.New("link: record of another size held back")

// gate stands between TLS and TCP. Once shut it lets nothing out but whole slots: no alert, not the close_notify one
// either, no answer to a key update. crypto/tls hands each record to its connection in one Write.
type gate struct {
	net.Conn
	shut atomic.Bool
}

func (g *gate) Write(record []byte) (int, error) {
	if g.shut.Load() && len(record) != recordSize {
		return 0, errOddRecord
	}
	return g.Conn.Write(record)
}

// closeWrite ends the sending side of TCP: the other side reads all that was sent, then the end. Connections of another
// sort have no such half end.
func (g *gate) closeWrite() error {
	if half, ok := g.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
