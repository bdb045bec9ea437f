package agent

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/golden"
	"github.com/p3do/p3do/internal/invitation"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/internal/words"
	"github.com/p3do/p3do/pki"
)

const vectorsFile = "../../docs/spec/vectors/user.json"

// vectorFile is docs/spec/vectors/user.json. docs/spec/user.md says what is asked.
type vectorFile struct {
	About   string   `json:"about"`
	Vectors []vector `json:"vectors"`
}

// A vector is what goes in and, if it is accepted, what comes out; by name, as text or in hexadecimal.
type vector struct {
	Kind    string            `json:"kind"`
	Comment string            `json:"comment"`
	Expect  string            `json:"expect"`
	Reason  string            `json:"reason,omitempty"`
	In      map[string]string `json:"in"`
	Out     map[string]string `json:"out,omitempty"`
}

// TestVectorsAreUpToDate: the file is what makeVectors makes.
func TestVectorsAreUpToDate(t *testing.T) { golden.Check(t, vectorsFile, makeVectors(t)) }

// TestVectors: what the file says is what this program does.
func TestVectors(t *testing.T) {
	var file vectorFile
	golden.Read(t, vectorsFile, &file)
	if len(file.Vectors) < 90 {
		t.Errorf("only %d vectors", len(file.Vectors))
	}
	readers := map[string]func(*testing.T, map[string]string) (map[string]string, error){
		"root": readRoot, "contact": readContactSecret, "renewal": readRenewal,
		"secret words": readSecretWords, "revocation words": readRevocationWords, "fingerprint words": readFingerprintWords,
		"server invitation": readInvitation, "contact invitation": readPersonal,
		"backup": readBackup, "revocation file": readRevocable, "device": readDevice, "link": readLink,
	}
	for _, v := range file.Vectors {
		t.Run(v.Kind+"/"+v.Comment, func(t *testing.T) {
			out, err := readers[v.Kind](t, v.In)
			if v.Expect == "refuse" {
				if got := reasonOf(err); got != v.Reason {
					t.Errorf("%q, %v; want %q", got, err, v.Reason)
				}
				return
			}
			must(t, err)
			for name, want := range v.Out {
				if out[name] != want {
					t.Errorf("%s: %s, want %s", name, out[name], want)
				}
			}
			if len(out) != len(v.Out) {
				t.Errorf("%d things come out, want %d", len(out), len(v.Out))
			}
		})
	}
}

// reasonOf is an error as the vectors name it.
func reasonOf(err error) string {
	var count *words.CountError
	var word *words.WordError
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrLinkWords):
		return "words"
	case errors.As(err, &count):
		return "count"
	case errors.As(err, &word):
		return "word " + strconv.Itoa(word.Position)
	}
	for _, known := range []struct {
		err    error
		reason string
	}{
		{ErrNoLink, "no link"}, {words.ErrChecksum, "checksum"}, {words.ErrRevocation, "of a revocation key"}, {words.ErrSecret, "of a secret"}, {words.ErrLong, "long"},
		{invitation.ErrMalformed, "malformed"}, {ErrNoRevocable, "malformed"},
		{ErrBackupPassphrase, "passphrase"}, {ErrBackupDamaged, "damaged"}, {ErrNoBackup, "no backup"}, {ErrEarlier, "earlier"},
	} {
		if errors.Is(err, known.err) {
			return known.reason
		}
	}
	if strings.Contains(err.Error(), "this program knows") {
		return "later"
	}
	return err.Error()
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	must(t, err)
	return b
}

func readRoot(t *testing.T, in map[string]string) (map[string]string, error) {
	root := unhex(t, in["root"])
	generation, err := strconv.Atoi(in["generation"])
	must(t, err)
	s, err := identity{Root: root, Generation: generation}.self()
	if err != nil {
		return nil, err
	}
	public := s.keys.Public()
	return map[string]string{
		"words": words.Secret([words.SecretSize]byte(root)), "identity": hex.EncodeToString(s.key.Seed()),
		"public": hex.EncodeToString(s.key.Public().Bytes()), "fingerprint": s.key.Fingerprint().String(),
		"fingerprint_words": words.Of(s.key.Fingerprint()), "keys": hex.EncodeToString(s.keys.Seed()),
		"seal": hex.EncodeToString(public.Seal[:]), "auth": hex.EncodeToString(public.Auth[:]),
		"requests": hex.EncodeToString(s.requests[:]), "replies": hex.EncodeToString(s.replies[:]),
		"contacts": hex.EncodeToString(s.contacts), "statement": hex.EncodeToString(s.statement[:]),
	}, nil
}

func readContactSecret(t *testing.T, in map[string]string) (map[string]string, error) {
	f, err := pki.ParseFingerprint(in["fingerprint"])
	must(t, err)
	secret, err := self{contacts: unhex(t, in["contacts"])}.contact(f)
	return map[string]string{"secret": hex.EncodeToString(secret)}, err
}

// readRenewal draws from a span of 2^62 ns, which loses the two lowest bits of what was drawn.
func readRenewal(t *testing.T, in map[string]string) (map[string]string, error) {
	from := time.Unix(0, 0)
	at, err := self{root: unhex(t, in["root"])}.drawn(unhex(t, in["of"]), from, 0, (math.MaxInt64/2)+1)
	if err != nil {
		return nil, err
	}
	quarter := binary.BigEndian.AppendUint64(nil, uint64(at.Sub(from)))
	return map[string]string{"quarter": hex.EncodeToString(quarter)}, nil
}

func readSecretWords(t *testing.T, in map[string]string) (map[string]string, error) {
	secret, err := words.ParseSecret(in["text"])
	if err != nil && strings.Contains(err.Error(), "mistyped") {
		t.Errorf("a secret word is repeated: %v", err)
	}
	return map[string]string{"secret": hex.EncodeToString(secret[:]), "words": words.Secret(secret)}, err
}

func readRevocationWords(t *testing.T, in map[string]string) (map[string]string, error) {
	secret, err := words.ParseRevocation(in["text"])
	return map[string]string{"secret": hex.EncodeToString(secret[:]), "words": words.Revocation(secret)}, err
}

func readFingerprintWords(t *testing.T, in map[string]string) (map[string]string, error) {
	prefix, err := words.Fingerprint(in["text"])
	if err != nil {
		return nil, err
	}
	f := pki.Fingerprint(append(bytes.Clone(prefix[:]), make([]byte, 16)...))
	return map[string]string{"prefix": hex.EncodeToString(prefix[:]), "words": words.Of(f)}, nil
}

func readInvitation(t *testing.T, in map[string]string) (map[string]string, error) {
	i, err := invitation.Parse(in["text"])
	if err != nil {
		return nil, err
	}
	return map[string]string{
		"token": hex.EncodeToString(i.Token[:]), "domain": i.Home.Domain.String(), "key": i.Home.Key.String(),
		"others": othersText(i.Others), "text": i.String(),
	}, nil
}

func readPersonal(t *testing.T, in map[string]string) (map[string]string, error) {
	i, err := invitation.ParsePersonal(in["text"])
	if err != nil {
		return nil, err
	}
	taker, err := pki.ParseFingerprint(in["taker"])
	must(t, err)
	mailbox, proof := i.Mailbox(), i.Proof(taker)
	return map[string]string{
		"secret": hex.EncodeToString(i.Secret[:]), "until": strconv.FormatInt(i.Expires.Unix(), 10), "name": i.Name.String(),
		"identity": i.Identity.String(), "home": i.Home.String(), "others": othersText(i.Others), "text": i.String(),
		"mailbox": hex.EncodeToString(mailbox[:]), "proof": hex.EncodeToString(proof[:]),
	}, nil
}

func othersText(others []invitation.Known) string {
	var all []string
	for _, o := range others {
		all = append(all, o.Domain.String()+" "+o.Key.String())
	}
	return strings.Join(all, ", ")
}

// readBackup restores a folder from the file, which is then as the JSON in it says.
func readBackup(t *testing.T, in map[string]string) (map[string]string, error) {
	file, passphrase := unhex(t, in["file"]), []byte(in["passphrase"])
	a, err := Restore(fresh(t), bytes.NewReader(file), passphrase)
	if err != nil {
		return nil, err
	}
	defer func() { must(t, a.Close()) }()
	raw, err := unseal(bytes.NewReader(file), passphrase)
	must(t, err)
	text, err := a.BackupWords()
	must(t, err)
	who, _ := a.Restored()
	return map[string]string{
		"json": string(raw), "words": text, "name": who, "fingerprint": a.self.key.Fingerprint().String(), "records": recordsText(t, a),
	}, nil
}

// recordsText is what this program reads in the records of a folder that the page lays down.
func recordsText(t *testing.T, a *Agent) string {
	t.Helper()
	var all []string
	must(t, a.vault.View(func(tx *vault.Tx) error {
		err := each(tx, prefixPin, func(domain string, p pin) error {
			all = append(all, fmt.Sprintf("pin/%s: %s, %s", domain, p.Key, p.Trust))
			return nil
		})
		return errors.Join(err, each(tx, prefixContact, func(name string, c contact) error {
			all = append(all, fmt.Sprintf("contact/%s: %s, %s, %x, %x, %v", name, c.Identity, c.Trust, []byte(c.Theirs), []byte(c.Mine), c.Spools))
			return nil
		}))
	}))
	if r, ok, err := a.revoker(); ok && err == nil {
		all = append(all, fmt.Sprintf("revoker: %x", r.Seed))
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}

func readRevocable(t *testing.T, in map[string]string) (map[string]string, error) {
	r, err := ParseRevocable([]byte(in["text"]))
	if err != nil {
		return nil, err
	}
	now, err := strconv.ParseInt(in["now"], 10, 64)
	must(t, err)
	made, err := r.Revoke(time.Unix(now, 0))
	must(t, err)
	raw, err := r.Marshal()
	must(t, err)
	return map[string]string{"name": r.Name.String(), "revocation": hex.EncodeToString(made.Raw()), "text": string(raw)}, nil
}

// readDevice is what a user's card holds for one of her devices.
func readDevice(t *testing.T, in map[string]string) (map[string]string, error) {
	key, err := pki.ParseDevicePublic(unhex(t, in["device"]))
	must(t, err)
	generation, err := strconv.Atoi(in["generation"])
	must(t, err)
	s, err := identity{Root: unhex(t, in["root"]), Generation: generation}.self()
	must(t, err)
	secret, err := s.unsealing(key)
	must(t, err)
	sealed, err := s.sealFor(key)
	return map[string]string{"unseal": hex.EncodeToString(secret), "sealed": hex.EncodeToString(sealed[:])}, err
}

// readLink makes a folder that of a device.
func readLink(t *testing.T, in map[string]string) (map[string]string, error) {
	file := unhex(t, in["file"])
	a, err := Join(fresh(t), bytes.NewReader(file), in["words"])
	if err != nil {
		return nil, err
	}
	defer func() { must(t, a.Close()) }()
	text, err := words.ParsePassphrase(in["words"])
	must(t, err)
	raw, err := unseal(bytes.NewReader(file), []byte(text))
	must(t, err)
	return map[string]string{
		"json": string(raw), "name": a.self.name.String(), "fingerprint": a.self.public.Fingerprint().String(),
		"device": a.self.device.Public().Fingerprint().String(), "keys": hex.EncodeToString(a.self.keys.Seed()),
		"statement": hex.EncodeToString(a.self.statement[:]), "records": recordsText(t, a),
	}, nil
}
