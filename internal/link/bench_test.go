package link

import (
	"crypto/tls"
	"net"
	"syscall"
	"testing"
	"time"
)

// burst is how many slots a benchmark sends before it waits for their arrival, so that nothing is refused and nobody spins.
const burst = 128

// cpu is the processor time that this process has used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// throughput sends b.N slots in bursts and reports slots/s and, for both ends together, cpu-us/slot.
func throughput(b *testing.B, send func() error, receive func() error) {
	b.Helper()
	b.SetBytes(SlotSize)
	b.ReportAllocs()
	arrived := make(chan struct{}, 1)
	go func() {
		for n := 1; receive() == nil; n++ {
			if n%burst == 0 {
				arrived <- struct{}{}
			}
		}
	}()
	start, sent := cpu(b), 0
	for b.Loop() {
		if err := send(); err != nil {
			b.Fatal(err)
		}
		if sent++; sent%burst == 0 {
			<-arrived
		}
	}
	b.ReportMetric(float64((cpu(b)-start).Microseconds())/float64(sent), "cpu-us/slot")
	b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "slots/s")
}

// BenchmarkSlots is one link over loopback, both ends in this process.
func BenchmarkSlots(b *testing.B) {
	sender, receiver := pair(b, node(b, "a.test", "b.test"), node(b, "b.test", "a.test"))
	p := packet(1)
	throughput(b,
		func() error { return sender.SendPacket(0, p) },
		func() error { _, err := receiver.Receive(); return err })
}

// BenchmarkFloorTLS is the same with nothing but crypto/tls: a Write and a Read of 16 384 bytes.
func BenchmarkFloorTLS(b *testing.B) {
	config := &tls.Config{
		Certificates: []tls.Certificate{newCert(b, "a.test")}, InsecureSkipVerify: true, DynamicRecordSizingDisabled: true,
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	defer ln.Close()
	near, err := net.Dial("tcp", ln.Addr().String())
	must(b, err)
	defer near.Close()
	far, err := ln.Accept()
	must(b, err)
	defer far.Close()
	sender, receiver := tls.Client(near, config), tls.Server(far, config)
	var out, in [SlotSize]byte
	throughput(b,
		func() error { _, err := sender.Write(out[:]); return err },
		func() error { return readSlot(receiver, &in) })
}

// BenchmarkDial is a whole link between two nodes: TCP, handshake, both judges, greeting, close.
func BenchmarkDial(b *testing.B) {
	l := listen(b, node(b, "a.test", "b.test"))
	config := node(b, "b.test", "a.test")
	for b.Loop() {
		dialled, err := Dial(b.Context(), config, l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		accepted, err := l.Accept(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		dialled.Close()
		accepted.Close()
	}
}
