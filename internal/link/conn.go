package link

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// Conn is a link whose peer was judged. Its methods may be called from many goroutines at once, but for Receive, which
// belongs to one. The caller closes it.
type Conn struct {
	raw      *gate // TCP, under TLS
	tls      *tls.Conn
	queue    *queue
	faults   *Faults
	count    counters
	maxSlots uint64
	release  func()               // gives back the listener's place; nil if dialled
	holds    [2]*share            // of a budget: what is received, what waits to be sent; nil without one
	keeps    atomic.Pointer[Pace] // a schedule that the writer is to keep from now on; nil: as it is
	flushed  chan struct{}        // closed when the writer has ended

	in    inbox           // owned by the caller of Receive
	spare *[SlotSize]byte // owned by the caller of Receive: a slot that nobody was given
}

// newConn starts the writer of a link whose handshake is done. Without a budget it is bounded by itself only.
func newConn(c Config, raw *gate, conn *tls.Conn, budget *Budget, release func()) *Conn {
	l := &Conn{
		raw: raw, tls: conn, queue: newQueue(c.Queue, c.Pace.Every > 0), faults: c.Faults, maxSlots: maxSlots, release: release,
		flushed: make(chan struct{}),
	}
	l.holds = [2]*share{budget.shareOf(l), budget.shareOf(l)}
	l.in.share, l.queue.share = l.holds[0], l.holds[1]
	go l.write(c.Pace.begin(time.Now(), c.random))
	return l
}

// Peer returns the certificate that the other side showed and Judge accepted; nil for a user, who shows none.
func (c *Conn) Peer() *x509.Certificate {
	if shown := c.tls.ConnectionState().PeerCertificates; len(shown) > 0 {
		return shown[0]
	}
	return nil
}

// RemoteAddr returns the network address of the other side. It belongs in no log if the link is a user's.
func (c *Conn) RemoteAddr() net.Addr { return c.raw.RemoteAddr() }

// Exporter returns length bytes that both ends of this link, and nobody else, can compute (RFC 8446 section 7.5, with an
// empty context): what a login proof signs. Every link gives other bytes, every label too.
func (c *Conn) Exporter(label string, length int) ([]byte, error) {
	state := c.tls.ConnectionState()
	secret, err := state.ExportKeyingMaterial(label, nil, length)
	if err != nil {
		return nil, fmt.Errorf("link: exporting: %w", err)
	}
	return secret, nil
}

// Outgoing: Send → queue → write (writer.go) → TLS → gate → TCP.

// SendPacket queues a packet that this side speaks on its context number channel, 0 to MaxChannel. It never blocks, and
// keeps packet, which must not be changed any more: one packet may be queued on many links. Errors: ErrFull, ErrClosed,
// or a packet that does not begin with version 1.
func (c *Conn) SendPacket(channel uint8, packet *[SlotSize]byte) error {
	return c.sendPacket(KindPacket, channel, packet)
}

// Forward queues a packet for its owner, which this side also rebroadcasts on its context number channel. Otherwise it is
// as SendPacket.
func (c *Conn) Forward(channel uint8, packet *[SlotSize]byte) error {
	return c.sendPacket(KindForward, channel, packet)
}

func (c *Conn) sendPacket(kind Kind, channel uint8, packet *[SlotSize]byte) error {
	if channel > MaxChannel {
		return fmt.Errorf("link: channel %d is over %d", channel, MaxChannel)
	}
	if packet[0] != packetVersion {
		return fmt.Errorf("link: packet of version %d", packet[0])
	}
	return c.send(outgoing{header: header{kind, channel}, packet: packet})
}

// SendControl queues a copy of message, 1 byte to MaxControl. It never blocks. Messages arrive whole and in the order of
// the calls, but may overtake packets and be overtaken by them. Errors: ErrFull, ErrClosed, ErrControl for a message
// that is empty or too long. If the link has a Budget and that is full, this or another link ends.
func (c *Conn) SendControl(message []byte) error {
	if len(message) == 0 || len(message) > MaxControl {
		return fmt.Errorf("%w: %d bytes to send", ErrControl, len(message))
	}
	return c.send(outgoing{
		header: header{kind: KindControl}, control: append([]byte(nil), message...), cost: len(message) + messageCost,
	})
}

func (c *Conn) send(o outgoing) error {
	if c.faults.loses(o.header.kind) {
		c.count.lost.Add(1)
		return nil
	}
	o.due = c.faults.due(o.header.kind, time.Now())
	if o.cost > 0 && !c.queue.share.begin(o.cost) {
		return c.queue.end()
	}
	err := c.queue.push(o)
	if err != nil && o.cost > 0 {
		c.queue.share.withdraw(o.cost)
	}
	if errors.Is(err, ErrFull) {
		c.count.full.Add(1)
	}
	return err
}

// Incoming: TCP → TLS → readSlot → inbox → Receive.

// Receive returns the next packet or control message, and blocks until there is one. Dummies are counted and dropped.
// io.EOF means that the other side has ended its sending in good order: what this side has queued can still be drained.
// After any other error the link is closed; malformed slots are ErrSlot or ErrControl. By calling it the caller says that
// it is done with the control message before.
func (c *Conn) Receive() (Message, error) {
	c.in.done()
	for {
		slot := c.spare
		if c.spare = nil; slot == nil {
			slot = new([SlotSize]byte)
		}
		if err := readSlot(c.tls, slot); err != nil {
			return Message{}, c.receiveFailed(err)
		}
		m, h, ok, err := c.in.accept(slot)
		if err != nil {
			return Message{}, c.receiveFailed(err)
		}
		c.count.received[h.kind].Add(1)
		if m.Packet == nil {
			c.spare = slot
		}
		if ok {
			return m, nil
		}
	}
}

// readSlot reads one record and refuses any that is not a slot: one Read of crypto/tls returns bytes of one record.
func readSlot(conn *tls.Conn, slot *[SlotSize]byte) error {
	n, err := conn.Read(slot[:])
	if n == SlotSize {
		return nil
	}
	if err == nil {
		return fmt.Errorf("%w: record of %d bytes", ErrSlot, n)
	}
	return err
}

// receiveFailed closes the link but at a good end, and returns why it was closed first.
func (c *Conn) receiveFailed(err error) error {
	c.in.partial = nil
	if end := c.queue.end(); end != nil {
		return end
	}
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	err = bare(err)
	c.shut(err)
	return fmt.Errorf("link: receiving: %w", err)
}

// Drain lets nothing more into the queue, waits until all that waits in it is written, and then ends the sending side of
// TCP: the other side receives all of it and then io.EOF. Receive goes on working. It returns when that is done, when ctx
// ends, or when the link fails. Call Close after it, best when Receive has returned io.EOF: closing a TCP connection on
// which unread bytes wait may take from the other side what is still on the way.
func (c *Conn) Drain(ctx context.Context) error {
	c.queue.drain()
	select {
	case <-c.flushed:
	case <-ctx.Done():
		return fmt.Errorf("link: draining: %w", ctx.Err())
	}
	if end := c.queue.end(); end != nil {
		return end
	}
	if err := c.raw.closeWrite(); !errors.Is(err, errors.ErrUnsupported) {
		return bare(err)
	}
	return nil // the end comes with Close
}

// Close ends the link at once and drops what is queued. No TLS alert is sent: it would be a record of another size. It
// returns when the writer has ended; Receive and the Send functions then return ErrClosed.
func (c *Conn) Close() error {
	c.shut(nil)
	<-c.flushed
	return nil
}

// shut closes the TCP connection under TLS, once. cause is nil if it is done on this side's wish.
func (c *Conn) shut(cause error) {
	if !c.queue.close(cause) {
		return
	}
	for _, held := range c.holds {
		held.end()
	}
	c.raw.Close() // its error has nothing to tell: no byte is to follow
	if c.release != nil {
		c.release()
	}
}
