package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/pki"
)

// The operator's commands reach a node that serves over a local socket, mode 0600:
//
//	GET  /status           Status
//	GET  /peers            []PeerStatus
//	POST /peers?domain=D   federates with D; PeerStatus of D
//	POST /peers/bound?domain=D&context=N   the same; D hears our context N
//	POST /peers/drop?domain=D     ends that
//	POST /contexts?name=N         makes another context of ours
//	POST /contexts/drop?name=N    ends it
//	POST /peers/verify?domain=D   judges D's key anew; Judgement
//	POST /peers/accept?domain=D&words=W   takes the key of these words, and D's log anew; Judgement
//	GET  /graph            []Edge
//	GET  /events?since=S   []Event from the Unix second S on
//	GET  /forks            [][]byte, the proof of each fork of a key log (package keyserver/witness)
//	GET  /findings         []witness.Finding, what audits found at key servers, with evidence
//	POST /rotate/KEY       changes a key (Role); Rotated
//
// and in a lab
//
//	GET  /lab/writes                  Writes
//	POST /lab/doom?after=N&before=N   has the node die (Death); Writes
//	POST /lab/cut?directory=D&dns=B&keyservers=B   cuts the node off (Cut)
//
// Errors come as text with a status of 400 (input), 409 (a key is not the pinned one) or
// 502 (another server).

// longestSocket is what a socket's path may have, in bytes, on all systems that we know.
const longestSocket = 100

// controlPath is where the socket is: in the node's folder, or, if that path is too long
// for a socket, in a fresh folder for temporary files.
func (n *Node) controlPath() string {
	path := filepath.Join(n.dir, "control.sock")
	if len(path) <= longestSocket {
		return path
	}
	dir, err := os.MkdirTemp("", "p3dod-")
	if err != nil {
		return path // and listening on it will say why not
	}
	return filepath.Join(dir, "control.sock")
}

func listenControl(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) { // of a node that was killed
		return nil, fmt.Errorf("node: an old control socket: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("node: listening for the operator: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("node: %w", err), listener.Close())
	}
	return listener, nil
}

// serveControl answers the operator until ctx ends.
func (n *Node) serveControl(ctx context.Context, listener net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		status, err := n.Status(r.Context())
		respond(w, status, err)
	})
	mux.HandleFunc("GET /peers", func(w http.ResponseWriter, r *http.Request) {
		peers, err := n.Peers(r.Context())
		respond(w, peers, err)
	})
	mux.HandleFunc("POST /peers", func(w http.ResponseWriter, r *http.Request) {
		peer, err := n.AddPeer(r.Context(), r.FormValue("domain"))
		respond(w, peer, err)
	})
	n.handleContexts(mux)
	n.handleTrust(mux)
	n.handleLab(mux)
	n.handleUsers(mux)
	n.handleRotate(ctx, mux)
	return serveHTTP(ctx, mux, listener)
}

// serveHTTP serves programs of this machine until ctx ends, and lets what is being answered come to
// its end.
func serveHTTP(ctx context.Context, handler http.Handler, listener net.Listener) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 8 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx }, // so what is being answered ends with it
	}
	ended := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		ended <- errors.Join(server.Shutdown(drain), server.Close())
	})
	err := server.Serve(listener)
	if !stop() {
		return <-ended
	}
	server.Close()
	return fmt.Errorf("node: answering the operator: %w", err)
}

// ErrInput marks a mistake of who asks.
var ErrInput = errors.New("node: cannot be done")

// AddPeer federates with a domain. The link comes up when that has done the same.
func (n *Node) AddPeer(ctx context.Context, domain string) (PeerStatus, error) {
	d, err := pki.ParseDomain(domain)
	if err != nil {
		return PeerStatus{}, fmt.Errorf("%w: %w", ErrInput, err)
	}
	if err := n.peers.add(ctx, d); err != nil {
		return PeerStatus{}, err
	}
	return n.peerStatus(ctx, d)
}

func (n *Node) peerStatus(ctx context.Context, domain pki.Domain) (PeerStatus, error) {
	all, err := n.Peers(ctx)
	for _, p := range all {
		if p.Domain == domain {
			return p, nil
		}
	}
	return PeerStatus{}, errors.Join(fmt.Errorf("node: %s is no peer", domain), err)
}

// handleTrust answers for what is known of keys.
func (n *Node) handleTrust(mux *http.ServeMux) {
	mux.HandleFunc("POST /peers/drop", func(w http.ResponseWriter, r *http.Request) {
		dropped, err := n.DropPeer(r.Context(), r.FormValue("domain"))
		respond(w, dropped, err)
	})
	mux.HandleFunc("POST /peers/verify", func(w http.ResponseWriter, r *http.Request) {
		judgement, err := n.Verify(r.Context(), r.FormValue("domain"))
		respond(w, judgement, err)
	})
	mux.HandleFunc("POST /peers/accept", func(w http.ResponseWriter, r *http.Request) {
		judgement, err := n.AcceptPeer(r.Context(), r.FormValue("domain"), r.FormValue("words"))
		respond(w, judgement, err)
	})
	mux.HandleFunc("GET /graph", func(w http.ResponseWriter, r *http.Request) {
		edges, err := n.Graph(r.Context())
		respond(w, edges, err)
	})
	mux.HandleFunc("GET /forks", func(w http.ResponseWriter, _ *http.Request) {
		respond(w, n.Forks(), nil)
	})
	mux.HandleFunc("GET /findings", func(w http.ResponseWriter, _ *http.Request) {
		respond(w, n.Findings(), nil)
	})
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		since, err := strconv.ParseInt(r.FormValue("since"), 10, 64)
		if err != nil {
			err = fmt.Errorf("%w: %w", ErrInput, err)
		}
		var events []Event
		if err == nil {
			events, err = n.Events(r.Context(), time.Unix(since, 0))
		}
		respond(w, events, err)
	})
}

func respond(w http.ResponseWriter, body any, err error) {
	var changed *pki.KeyChangedError
	switch {
	case err == nil:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(body) // whoever asked has gone
	case errors.As(err, &changed), errors.Is(err, keyserver.ErrWrongKey), errors.Is(err, link.ErrPeer):
		http.Error(w, err.Error(), http.StatusConflict)
	case errors.Is(err, ErrInput):
		http.Error(w, strings.TrimPrefix(err.Error(), ErrInput.Error()+": "), http.StatusBadRequest) // which Control puts before it again
	default:
		http.Error(w, err.Error(), http.StatusBadGateway)
	}
}

// A Control asks a node that serves in a folder of this machine.
type Control struct{ client *http.Client }

// ErrKeyChanged is returned by a Control when a key is not the one that is pinned.
var ErrKeyChanged = errors.New("a key is not the one that is known")

// NewControl returns a Control for the node that serves in dir.
func NewControl(dir string) (*Control, error) {
	running, err := ReadRunning(dir)
	if err != nil {
		return nil, err
	}
	socket := dial.Unix(running.Control)
	return &Control{&http.Client{Transport: &http.Transport{DialContext: socket, DisableKeepAlives: true}}}, nil
}

// Status returns the state of the node.
func (c *Control) Status(ctx context.Context) (s Status, err error) {
	return s, c.call(ctx, http.MethodGet, "/status", &s)
}

// Peers returns the state of its federation.
func (c *Control) Peers(ctx context.Context) (p []PeerStatus, err error) {
	return p, c.call(ctx, http.MethodGet, "/peers", &p)
}

// AddPeer has the node federate with domain.
func (c *Control) AddPeer(ctx context.Context, domain pki.Domain) (p PeerStatus, err error) {
	return p, c.call(ctx, http.MethodPost, "/peers?domain="+domain.String(), &p)
}

// AddPeerOn has the node federate with domain, which hears the node's context of that name.
func (c *Control) AddPeerOn(ctx context.Context, domain pki.Domain, name string) (p PeerStatus, err error) {
	return p, c.call(ctx, http.MethodPost, "/peers/bound?domain="+domain.String()+"&context="+url.QueryEscape(name), &p)
}

// AddContext has the node make another context.
func (c *Control) AddContext(ctx context.Context, name string) error {
	var nothing struct{}
	return c.call(ctx, http.MethodPost, "/contexts?name="+url.QueryEscape(name), &nothing)
}

// DropContext has the node end one.
func (c *Control) DropContext(ctx context.Context, name string) error {
	var nothing struct{}
	return c.call(ctx, http.MethodPost, "/contexts/drop?name="+url.QueryEscape(name), &nothing)
}

// DropPeer has the node end the federation with domain as [Node.DropPeer] does.
func (c *Control) DropPeer(ctx context.Context, domain pki.Domain) (d Dropped, err error) {
	return d, c.call(ctx, http.MethodPost, "/peers/drop?domain="+domain.String(), &d)
}

// VerifyPeer has the node judge the key of domain anew.
func (c *Control) VerifyPeer(ctx context.Context, domain pki.Domain) (j Judgement, err error) {
	return j, c.call(ctx, http.MethodPost, "/peers/verify?domain="+domain.String(), &j)
}

// AcceptPeer has the node take the key of domain that has these words, and its log anew.
func (c *Control) AcceptPeer(ctx context.Context, domain pki.Domain, words string) (j Judgement, err error) {
	return j, c.call(ctx, http.MethodPost, "/peers/accept?domain="+domain.String()+"&words="+url.QueryEscape(words), &j)
}

// Graph returns who countersigned whom.
func (c *Control) Graph(ctx context.Context) (edges []Edge, err error) {
	return edges, c.call(ctx, http.MethodGet, "/graph", &edges)
}

// Events returns what happened to keys since a time.
func (c *Control) Events(ctx context.Context, since time.Time) (events []Event, err error) {
	return events, c.call(ctx, http.MethodGet, "/events?since="+strconv.FormatInt(since.Unix(), 10), &events)
}

// Forks returns the proofs of all forks of key logs that the node knows of.
func (c *Control) Forks(ctx context.Context) ([]witness.Fork, error) {
	var raws [][]byte
	if err := c.call(ctx, http.MethodGet, "/forks", &raws); err != nil {
		return nil, err
	}
	forks := make([]witness.Fork, len(raws))
	for i, raw := range raws {
		var err error
		if forks[i], err = witness.ParseFork(raw); err != nil {
			return nil, err
		}
	}
	return forks, nil
}

// Findings returns what audits of the node found at the key servers of others.
func (c *Control) Findings(ctx context.Context) (all []witness.Finding, err error) {
	return all, c.call(ctx, http.MethodGet, "/findings", &all)
}

const maxControlAnswer = 16 << 20

func (c *Control) call(ctx context.Context, method, path string, into any) error {
	return c.send(ctx, method, path, nil, into)
}

// send is call with a body.
func (c *Control) send(ctx context.Context, method, path string, body io.Reader, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, body)
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	response, err := c.client.Do(request)
	if err != nil { // not wrapped: a socket that is missing does not mean that there is no node
		return fmt.Errorf("node: the node does not answer: %v", err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxControlAnswer))
	if err != nil {
		return fmt.Errorf("node: asking the node: %w", err)
	}
	switch response.StatusCode {
	case http.StatusOK:
		return json.Unmarshal(raw, into)
	case http.StatusConflict:
		return fmt.Errorf("%w: %s", ErrKeyChanged, bytes.TrimSpace(raw))
	case http.StatusBadRequest:
		return fmt.Errorf("%w: %s", ErrInput, bytes.TrimSpace(raw))
	default:
		return errors.New(string(bytes.TrimSpace(raw)))
	}
}
