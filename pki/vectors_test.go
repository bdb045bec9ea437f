package pki

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// inputs are those of one vector of docs/spec/vectors/pki.json.
type inputs map[string]string

// bytes returns an input in hexadecimal, which the generator writes well.
func (in inputs) bytes(key string) []byte {
	b, err := hex.DecodeString(in[key])
	if err != nil {
		panic(fmt.Sprintf("input %q of a vector: %v", key, err))
	}
	return b
}

func (in inputs) now() time.Time { return in.time("now") }

func (in inputs) time(key string) time.Time {
	n, err := strconv.ParseInt(in[key], 10, 64)
	if err != nil {
		panic(fmt.Sprintf("the time of a vector: %v", err))
	}
	return time.Unix(n, 0)
}

var errRefused = errors.New("refused")

func yes(ok bool) (inputs, error) {
	if !ok {
		return nil, errRefused
	}
	return nil, nil
}

func nameAndKey(name Name, key IdentityPublic) inputs {
	return inputs{"name": name.String(), "public": hex.EncodeToString(key.Bytes())}
}

func domainAndKey(domain Domain, key DomainPublic) inputs {
	return inputs{
		"domain": domain.String(), "public": hex.EncodeToString(key.Bytes()), "fingerprint": key.Fingerprint().String(),
	}
}

// judges answers each kind of vector: what is found out, or why it is refused.
var judges = map[string]func(inputs) (inputs, error){
	"domain":      func(in inputs) (inputs, error) { _, err := ParseDomain(in["text"]); return nil, err },
	"name":        func(in inputs) (inputs, error) { _, err := ParseName(in["text"]); return nil, err },
	"fingerprint": func(in inputs) (inputs, error) { _, err := ParseFingerprint(in["text"]); return nil, err },
	"endpoint":    func(in inputs) (inputs, error) { return nil, CheckEndpoint(in["text"]) },
	"public":      func(in inputs) (inputs, error) { _, err := ParseIdentityPublic(in.bytes("public")); return nil, err },
	"key": func(in inputs) (inputs, error) {
		key, err := ParseIdentityKey(in.bytes("seed"))
		if err != nil {
			return nil, err
		}
		public := key.Public()
		return inputs{"public": hex.EncodeToString(public.Bytes()), "fingerprint": key.Fingerprint().String()}, nil
	},
	"statement": func(in inputs) (inputs, error) {
		public, err := ParseIdentityPublic(in.bytes("public"))
		if err != nil {
			return nil, err
		}
		return yes(public.Verify(Label(in["label"]), in.bytes("message"), in.bytes("signature")))
	},
	"login": func(in inputs) (inputs, error) {
		public, err := ParseIdentityPublic(in.bytes("public"))
		if err != nil {
			return nil, err
		}
		name, err := ParseName(in["name"])
		if err != nil {
			return nil, err
		}
		return yes(public.VerifyLogin([ExporterSize]byte(in.bytes("exporter")), name, in.bytes("signature")))
	},
	"device": func(in inputs) (inputs, error) {
		public, err := ParseDevicePublic(in.bytes("public"))
		if err != nil {
			return nil, err
		}
		name, err := ParseName(in["name"])
		if err != nil {
			return nil, err
		}
		return yes(public.VerifyLogin([ExporterSize]byte(in.bytes("exporter")), name, in.bytes("signature")))
	},
	"ca": func(in inputs) (inputs, error) {
		ca, err := ParseCACert(in.bytes("der"))
		return domainAndKey(ca.Domain(), ca.Key()), err
	},
	"cross": func(in inputs) (inputs, error) {
		cross, err := ParseCrossCert(in.bytes("der"))
		return domainAndKey(cross.Domain(), cross.Key()), err
	},
	"authority": func(in inputs) (inputs, error) {
		a, err := ParseAuthority(in.bytes("raw"))
		if err != nil {
			return nil, err
		}
		c := a.Commitment()
		return inputs{
			"domain": a.Domain().String(), "ca": hex.EncodeToString(a.CA().DER()), "next": hexOf(c.Next), "root": hexOf(c.Root),
		}, nil
	},
	"request": func(in inputs) (inputs, error) {
		request, err := ParseUserRequest(in.bytes("der"))
		return nameAndKey(request.Name(), request.Key()), err
	},
	"user": func(in inputs) (inputs, error) {
		ca, err := ParseCACert(in.bytes("ca"))
		if err != nil {
			return nil, err
		}
		user, err := ca.VerifyUser(in.bytes("der"), in.now())
		return nameAndKey(user.Name(), user.Key()), err
	},
	"link": func(in inputs) (inputs, error) {
		ca, err := ParseCACert(in.bytes("ca"))
		if err != nil {
			return nil, err
		}
		leaf, err := x509.ParseCertificate(in.bytes("der"))
		if err != nil {
			return nil, err
		}
		return nil, ca.VerifyLink(leaf, in.now())
	},
	"peer": func(in inputs) (inputs, error) {
		a, cross, err := in.federation()
		if err != nil {
			return nil, err
		}
		leaf, err := x509.ParseCertificate(in.bytes("der"))
		if err != nil {
			return nil, err
		}
		domain, err := a.VerifyPeer(cross, leaf, in.now())
		return inputs{"domain": domain.String()}, err
	},
	"peeruser": func(in inputs) (inputs, error) {
		a, cross, err := in.federation()
		if err != nil {
			return nil, err
		}
		user, err := a.VerifyPeerUser(cross, in.bytes("der"), in.now())
		return nameAndKey(user.Name(), user.Key()), err
	},
	"descriptor": judgeDescriptor,
	"card":       judgeCard,
	"view":       judgeView,
	"revocation": judgeRevocation,
	"succession": judgeSuccession,
	"heir":       judgeHeir,
	"move":       judgeMove,
	"challenge":  judgeChallenge,
	"follow":     judgeFollow,
	"logged":     judgeLogged,
	"envelope": func(in inputs) (inputs, error) {
		kind, inner, err := ParseStatement(in.bytes("raw"))
		return inputs{"kind": fmt.Sprint(kind), "inner": hex.EncodeToString(inner)}, err
	},
}

func hexOf(f Fingerprint) string { return hex.EncodeToString(f[:]) }

func judgeView(in inputs) (inputs, error) {
	ca, err := ParseCACert(in.bytes("ca"))
	if err != nil {
		return nil, err
	}
	v, err := ca.VerifyView(in.bytes("raw"), in.now())
	if err != nil {
		return nil, err
	}
	s, _ := v.Of(Domain{"b.test"})
	return inputs{
		"domain": v.Domain.String(), "serial": fmt.Sprint(v.Serial), "issued": fmt.Sprint(v.Issued.Unix()),
		"expires": fmt.Sprint(v.Expires.Unix()), "sightings": fmt.Sprint(len(v.Sightings)), "seen": hexOf(s.Key),
	}, nil
}

func judgeRevocation(in inputs) (inputs, error) {
	ca, err := ParseCACert(in.bytes("ca"))
	if err != nil {
		return nil, err
	}
	r, err := ParseRevocation(in.bytes("raw"))
	if err != nil {
		return nil, err
	}
	out := nameAndKey(r.Name(), r.Key())
	out["scope"], out["issued"], out["signer"] = fmt.Sprint(r.Scope), fmt.Sprint(r.Issued.Unix()), hexOf(r.Signer())
	k := Known{CA: ca}
	if in["former"] != "" {
		former, err := ParseCACert(in.bytes("former"))
		if err != nil {
			return nil, err
		}
		s, err := ParseSuccession(in.bytes("succession"))
		if err != nil {
			return nil, err
		}
		k = NewKnown(ca, []CACert{former}, []SignedSuccession{s})
	}
	k.Root = Fingerprint(in.bytes("root"))
	return out, r.Check(k)
}

func judgeMove(in inputs) (inputs, error) {
	from, err := ParseCACert(in.bytes("ca"))
	if err != nil {
		return nil, err
	}
	to, err := ParseCACert(in.bytes("newca"))
	if err != nil {
		return nil, err
	}
	m, err := ParseMove(in.bytes("raw"))
	if err != nil {
		return nil, err
	}
	out := nameAndKey(m.From(), m.Key())
	out["to"], out["serial"], out["issued"] = m.To().String(), fmt.Sprint(m.Serial), fmt.Sprint(m.Issued.Unix())
	return out, m.Check(Known{CA: from}, Known{CA: to})
}

func judgeChallenge(in inputs) (inputs, error) {
	ca, err := ParseCACert(in.bytes("ca"))
	if err != nil {
		return nil, err
	}
	c, err := ParseChallenge(in.bytes("raw"))
	if err != nil {
		return nil, err
	}
	out := nameAndKey(c.Name(), c.Key())
	out["issued"], out["record"] = fmt.Sprint(c.Issued.Unix()), hex.EncodeToString(c.Record[:])
	return out, c.Check(Known{CA: ca}, in.now())
}

func judgeFollow(in inputs) (inputs, error) {
	name, err := ParseName(in["name"])
	if err != nil {
		return nil, err
	}
	key, err := ParseIdentityPublic(in.bytes("public"))
	if err != nil {
		return nil, err
	}
	var all []Move
	for _, which := range []string{"first", "second", "third"} {
		if in[which] == "" {
			continue
		}
		m, err := ParseMove(in.bytes(which))
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	steps := Follow(name, key, all)
	if len(steps) == 0 {
		return nil, errors.New("there is none to follow")
	}
	return inputs{"to": steps[len(steps)-1].To().String()}, nil
}

func judgeSuccession(in inputs) (inputs, error) {
	s, err := ParseSuccession(in.bytes("raw"))
	if err != nil {
		return nil, err
	}
	return inputs{
		"domain": s.Domain.String(), "old": hexOf(s.Old), "new": hexOf(s.New()), "next": hexOf(s.Next),
		"signer": hexOf(s.Signer()), "issued": fmt.Sprint(s.Issued.Unix()),
	}, nil
}

func judgeHeir(in inputs) (inputs, error) {
	var all []SignedSuccession
	for _, which := range []string{"first", "second"} {
		if in[which] == "" {
			continue
		}
		s, err := ParseSuccession(in.bytes(which))
		if err != nil {
			panic(fmt.Sprintf("the %s succession of a vector: %v", which, err))
		}
		all = append(all, s)
	}
	domain, err := ParseDomain(in["domain"])
	if err != nil {
		return nil, err
	}
	heirs := Commitment{
		Domain: domain, Key: Fingerprint(in.bytes("key")), Next: Fingerprint(in.bytes("next")), Root: Fingerprint(in.bytes("root")),
	}.Heirs(all)
	if len(heirs) == 0 {
		return nil, errRefused
	}
	return inputs{"new": hexOf(heirs[len(heirs)-1].Key)}, nil
}

func (in inputs) federation() (*Authority, CrossCert, error) {
	a, err := ParseAuthority(in.bytes("authority"))
	if err != nil {
		return nil, CrossCert{}, err
	}
	cross, err := ParseCrossCert(in.bytes("cross"))
	return a, cross, err
}

func judgeDescriptor(in inputs) (inputs, error) {
	d, err := ParseDescriptor(in.bytes("raw"))
	if err != nil {
		return nil, err
	}
	return inputs{
		"domain": d.Domain.String(), "serial": fmt.Sprint(d.Serial), "issued": fmt.Sprint(d.Issued.Unix()),
		"expires": fmt.Sprint(d.Expires.Unix()), "period": fmt.Sprint(d.ServerKeys[0].Period),
		"serverkey": hex.EncodeToString(d.ServerKeys[0].Public[:]), "link": d.Links[0], "keyserver": d.KeyServers[0],
		"fingerprint": d.CA.Fingerprint().String(), "next": hexOf(d.Next), "root": hexOf(d.Root),
		"log": hex.EncodeToString(d.Log.Bytes()), "witness": hex.EncodeToString(d.Witness.Bytes()), "labels": hex.EncodeToString(d.Labels[:]),
	}, d.CheckTime(in.now())
}

func judgeCard(in inputs) (inputs, error) {
	ca, err := ParseCACert(in.bytes("ca"))
	if err != nil {
		return nil, err
	}
	c, err := ca.VerifyCard(in.bytes("raw"), in.now())
	if err != nil {
		return nil, err
	}
	out := nameAndKey(c.Certificate.Name(), c.Certificate.Key())
	out["serial"], out["issued"], out["expires"] = fmt.Sprint(c.Serial), fmt.Sprint(c.Issued.Unix()), fmt.Sprint(c.Expires.Unix())
	out["seal"], out["auth"] = hex.EncodeToString(c.Seal[:]), hex.EncodeToString(c.Auth[:])
	out["requests"], out["spool"] = hex.EncodeToString(c.Requests[:]), c.Spools[0].String()
	for i, d := range c.Devices {
		out[fmt.Sprint("device", i)] = fmt.Sprintf("%x %d %x", d.Key.Bytes(), d.Since.Unix(), d.Sealed)
	}
	return out, nil
}

// The vectors of the specification hold, refusals included.
func TestVectors(t *testing.T) {
	var file struct {
		Vectors []struct {
			Kind, Comment, Expect string
			In, Out               inputs
		}
	}
	text := must[[]byte](t)(os.ReadFile("../docs/spec/vectors/pki.json"))
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for i, v := range file.Vectors {
		judge := judges[v.Kind]
		if judge == nil || v.Expect != "accept" && v.Expect != "refuse" {
			t.Fatalf("vector %d: kind %q, expect %q", i, v.Kind, v.Expect)
		}
		seen[v.Kind+" "+v.Expect]++
		out, err := judge(v.In)
		if (err == nil) != (v.Expect == "accept") {
			t.Errorf("vector %d, %s, %s: want %s, got %v", i, v.Kind, v.Comment, v.Expect, err)
			continue
		}
		for key, want := range v.Out {
			if out[key] != want {
				t.Errorf("vector %d, %s, %s: %s is %q, want %q", i, v.Kind, v.Comment, key, out[key], want)
			}
		}
	}
	for kind := range judges {
		if seen[kind+" accept"] == 0 || seen[kind+" refuse"] == 0 {
			t.Errorf("kind %s: %d accepted, %d refused", kind, seen[kind+" accept"], seen[kind+" refuse"])
		}
	}
}

// judgeLogged is what may be sent to a user.
func judgeLogged(in inputs) (inputs, error) {
	logs := map[string]LogState{"none": NoLog, "away": LogAway, "stale": LogStale, "current": LogCurrent, "fork": LogForked, "missing": LogMissing}
	sends := []string{"nothing", "public", "warned", "all"}
	fingerprint := func(key string) (f Fingerprint) { copy(f[:], in.bytes(key)); return f }
	e := Evidence{Home: fingerprint("card"), Log: LogEvidence{State: logs[in["log"]], Newest: fingerprint("entry"), Since: in.time("since")}}
	if pin := fingerprint("pin"); !pin.IsZero() {
		e.Pin = Pin{Key: pin, Trust: FirstSeen}
	}
	v := JudgeName(e, Verdict{Row: RowAgreed, Send: Sending(slices.Index(sends, in["home"])), Trust: Vouched}, in.now())
	if v.Send == SendNothing {
		return nil, errRefused
	}
	return inputs{"key": hex.EncodeToString(v.Key[:]), "send": sends[v.Send]}, nil
}
