package keyserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/p3do/p3do/pki"
)

const (
	headerTimeout = 5 * time.Second  // TLS handshake, then each request's header
	bodyTimeout   = 30 * time.Second // a whole request, its body included
	answerTimeout = 30 * time.Second // a whole answer, a fetch included
	idleTimeout   = 30 * time.Second // between two requests
	drainTimeout  = 5 * time.Second  // for answers under way when Serve ends
	maxHeader     = 4 << 10          // bytes of a header; net/http adds 4096
)

// Certificate is what a key server shows in TLS: the node's link certificate
// and, as second and last, the certificate of its CA, which the client compares
// with its pin.
func Certificate(link pki.LinkCert, key pki.LinkKey, ca pki.CACert) *tls.Certificate {
	return &tls.Certificate{
		Certificate: [][]byte{link.DER(), ca.DER()},
		PrivateKey:  key.Signer(),
	}
}

// Serve answers on ln over TLS 1.3 until ctx ends; then it lets answers under
// way finish for a few seconds and returns nil. certificate is asked in each
// handshake, so a renewed one is used at once. Serve closes ln.
func (s *Server) Serve(ctx context.Context, ln net.Listener, certificate func() (*tls.Certificate, error)) error {
	limited := limitListener(ln)
	srv := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: s.headerTimeout,
		ReadTimeout:       s.bodyTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		Protocols:         new(http.Protocols),

		DisableGeneralOptionsHandler: true, // "OPTIONS *" is a miss like others

		ErrorLog:    log.New(io.Discard, "", 0), // it would name clients
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnState:   limited.note,
	}
	srv.Protocols.SetHTTP1(true)
	drained := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(drained)
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		if srv.Shutdown(drain) != nil {
			_ = srv.Close()
		}
	})
	err := srv.Serve(tls.NewListener(limited, serverTLS(certificate)))
	if stop() { // ctx has not ended: the listener failed
		_ = srv.Close()
		return fmt.Errorf("keyserver: serving: %w", err)
	}
	<-drained
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("keyserver: serving: %w", err)
}

func serverTLS(certificate func() (*tls.Certificate, error)) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{"http/1.1"},
		SessionTicketsDisabled: true,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return certificate() // whatever name the client may ask for
		},
	}
}
