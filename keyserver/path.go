package keyserver

import (
	"net/http"
	"strings"

	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// kind is what a request asks for.
type kind uint8

const (
	nothing kind = iota // whatever is not one of the others
	userByName
	byKey
	serverByDomain
	serverPage
	successionsOf
	proofOfUser
	proofOfKey
	proofOfServer
	proofOfRevocation
	proofOfChallenge
	logCheckpoint
	logTile
)

// query is a request that was understood; only the field of its kind is set.
type query struct {
	kind        kind
	name        pki.Name
	fingerprint pki.Fingerprint
	domain      pki.Domain // serverPage: the domain before the page; zero for the first
	tile        keylog.Tile
}

// logPrefix begins the targets of the own log.
const logPrefix = "/v1/log/"

// maxTarget is the length of the longest target that can be good, in bytes.
const maxTarget = len("/v1/proof/user/") + pki.MaxNameSize

// parseRequest reads what a request asks for. Only a GET without a body can ask.
func parseRequest(r *http.Request) query {
	if r.Method != http.MethodGet || r.ContentLength != 0 || len(r.TransferEncoding) > 0 {
		return query{}
	}
	return parseTarget(r.RequestURI)
}

// parseTarget reads a request target as it came over the wire. There is one
// spelling of each: no escapes, no query string, no dots to resolve, no host.
func parseTarget(target string) query {
	if len(target) > maxTarget {
		return query{}
	}
	rest, ok := strings.CutPrefix(target, "/v1/")
	if !ok {
		return query{}
	}
	what, arg, hasArg := strings.Cut(rest, "/")
	if !hasArg {
		if what == "servers" {
			return query{kind: serverPage}
		}
		return query{}
	}
	q, err := parseArg(what, arg)
	if err != nil {
		return query{}
	}
	return q
}

func parseArg(what, arg string) (q query, err error) {
	switch what {
	case "user":
		q.kind = userByName
		q.name, err = pki.ParseName(arg)
	case "key":
		q.kind = byKey
		q.fingerprint, err = pki.ParseFingerprint(arg)
	case "server":
		q.kind = serverByDomain
		q.domain, err = pki.ParseDomain(arg)
	case "successions":
		q.kind = successionsOf
		q.domain, err = pki.ParseDomain(arg)
	case "servers":
		q.kind = serverPage
		q.domain, err = pki.ParseDomain(arg)
	case "proof":
		return parseProofArg(arg)
	case "log":
		return parseLogArg(arg)
	}
	return q, err
}

// proofKind is the look-up with proof of a look-up without.
func proofKind(of kind) kind {
	switch of {
	case userByName:
		return proofOfUser
	case byKey:
		return proofOfKey
	case serverByDomain:
		return proofOfServer
	}
	return nothing
}

func parseProofArg(arg string) (query, error) {
	what, of, _ := strings.Cut(arg, "/")
	switch what {
	case "user", "key", "server":
		q, err := parseArg(what, of)
		q.kind = proofKind(q.kind)
		return q, err
	case "revocation", "challenge":
		id, err := pki.ParseFingerprint(of)
		kind := proofOfRevocation
		if what == "challenge" {
			kind = proofOfChallenge
		}
		return query{kind: kind, fingerprint: id}, err
	}
	return query{}, nil
}

func parseLogArg(arg string) (q query, err error) {
	if arg == "checkpoint" {
		return query{kind: logCheckpoint}, nil
	}
	q.kind = logTile
	q.tile, err = keylog.ParseTilePath(arg)
	return q, err
}

// target is the inverse of parseTarget.
func (q query) target() string {
	switch q.kind {
	case userByName:
		return "/v1/user/" + q.name.String()
	case byKey:
		return "/v1/key/" + q.fingerprint.String()
	case serverByDomain:
		return "/v1/server/" + q.domain.String()
	case successionsOf:
		return "/v1/successions/" + q.domain.String()
	case serverPage:
		if q.domain.IsZero() {
			return "/v1/servers"
		}
		return "/v1/servers/" + q.domain.String()
	case proofOfUser:
		return "/v1/proof/user/" + q.name.String()
	case proofOfKey:
		return "/v1/proof/key/" + q.fingerprint.String()
	case proofOfServer:
		return "/v1/proof/server/" + q.domain.String()
	case proofOfRevocation:
		return "/v1/proof/revocation/" + q.fingerprint.String()
	case proofOfChallenge:
		return "/v1/proof/challenge/" + q.fingerprint.String()
	case logCheckpoint:
		return logPrefix + "checkpoint"
	case logTile:
		return logPrefix + q.tile.Path()
	}
	return "/"
}
