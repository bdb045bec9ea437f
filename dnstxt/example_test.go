package dnstxt_test

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/p3do/p3do/dnstxt"
	"github.com/p3do/p3do/pki"
)

const text = "v=P3DO1; k=ed25519; fp=AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE; ks=keys.a.test:8443"

func ExampleParse() {
	record, err := dnstxt.Parse(text)
	fmt.Println(record.Fingerprint, record.KeyServers, err)

	_, err = dnstxt.Parse("v=P3DO1; k=rsa")
	fmt.Println(err)
	// Output:
	// AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE [keys.a.test:8443] <nil>
	// dnstxt: invalid record: tag k: want ed25519
}

func ExampleRecord_ZoneLine() {
	record, err := dnstxt.Parse(text)
	if err != nil {
		fmt.Println(err)
		return
	}
	domain, err := pki.ParseDomain("a.test")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(record.ZoneLine(domain, 3600))
	// Output:
	// _p3do.a.test. 3600 IN TXT "v=P3DO1; k=ed25519; fp=AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE; ks=keys.a.test:8443" <nil>
}

// A responder publishes a record and a resolver finds it.
func Example() {
	record, err := dnstxt.Parse(text)
	if err != nil {
		fmt.Println(err)
		return
	}
	domain, err := pki.ParseDomain("a.test")
	if err != nil {
		fmt.Println(err)
		return
	}
	responder, err := dnstxt.Listen("127.0.0.1:0", "test")
	if err != nil {
		fmt.Println(err)
		return
	}
	server, err := dnstxt.ParseServer(responder.Addr())
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- responder.Run(ctx) }()

	resolver := dnstxt.Resolver{Server: server, Dial: new(net.Dialer).DialContext}
	_, err = resolver.Lookup(ctx, domain)
	fmt.Println("before:", errors.Is(err, dnstxt.ErrNone))
	fmt.Println("set:", responder.Set(domain, record))
	found, err := resolver.Lookup(ctx, domain)
	fmt.Println("after:", found.Equal(record), err)

	stop()
	fmt.Println("stopped:", <-done)
	// Output:
	// before: true
	// set: <nil>
	// after: true <nil>
	// stopped: <nil>
}

func ExampleDelegation() {
	domain, _ := pki.ParseDomain("a.test")
	server, _ := pki.ParseDomain("ns1.a.test")
	key, _ := dnstxt.ParseZoneKey(make([]byte, dnstxt.ZoneKeySize)) // which nobody should use
	lines, err := dnstxt.Delegation(domain, []pki.Domain{server}, key, 3600)
	if err != nil {
		fmt.Println(err)
	}
	for _, line := range lines {
		fmt.Println(line)
	}
	// Output:
	// _p3do.a.test. 3600 IN NS ns1.a.test.
	// _p3do.a.test. 3600 IN DS 57991 15 2 B23C527C779E00A58ADE99CA39F76C0139FAA1067D3B647EB0BAB6A761236BED
}
