package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

const keysVerifyHelp = `Verify a key as an outsider, who trusts no server: with nothing but fingerprints of domains.
--ca is that of the domain of the user, and --witness that of a domain whose word you take for what
the log of keys shows to everybody. Neither a node nor DNS is needed.

  p3dod keys verify ann@a.test --ca FP --server 192.0.2.1:7443 --witness b.test=FP --witness c.test=FP

A fingerprint may be a former one: the way to the key in office is asked for there, and holds if each
key on it handed over by its own word.

--save DIR keeps what was shown; --record, --proof, --descriptor and --successions verify that again
without any network. --quorum is how many of the witnesses are to have cosigned in the last 7 days: all, if
nothing is said.`

// verification is what the command was given.
type verification struct {
	ca, server    string
	witnesses     []string
	quorum        int
	record, proof string
	descriptors   []string
	successions   string
	save          string
}

func keysVerify(f *flags) *cobra.Command {
	var v verification
	c := &cobra.Command{Use: "verify NAME|FINGERPRINT|DOMAIN", Short: "verify a key and its place in the log, trusting no server", Long: keysVerifyHelp, Args: cobra.ExactArgs(1)}
	c.Flags().StringVar(&v.ca, "ca", "", "fingerprint of the domain's CA key")
	c.Flags().StringVar(&v.server, "server", "", "key server to ask, HOST:PORT; with =FINGERPRINT if it is another domain's, which has a copy")
	c.Flags().StringArrayVar(&v.witnesses, "witness", nil, "domain whose cosignature counts, DOMAIN=FINGERPRINT; several")
	c.Flags().IntVar(&v.quorum, "quorum", -1, "how many of the witnesses have to have cosigned (default: all)")
	c.Flags().StringVar(&v.record, "record", "", "file with the card or descriptor")
	c.Flags().StringVar(&v.proof, "proof", "", "file with the proof")
	c.Flags().StringArrayVar(&v.descriptors, "descriptor", nil, "file with the descriptor of the domain, or of a witness; several")
	c.Flags().StringVar(&v.successions, "successions", "", "file with the words by which former keys handed over")
	c.Flags().StringVar(&v.save, "save", "", "folder to keep record, proof and descriptors in")
	c.RunE = func(c *cobra.Command, args []string) error {
		logged, err := v.run(c.Context(), args[0])
		if err == nil || errors.Is(err, keylog.ErrQuorum) && logged.Log != "" {
			err = errors.Join(f.print(c, logged, verifiedText(logged)), err)
		}
		return verifyFailure(err, args[0])
	}
	return c
}

func (v *verification) run(ctx context.Context, text string) (keyserver.Logged, error) {
	of, err := parseShown(text)
	if err != nil {
		return keyserver.Logged{}, err
	}
	by, err := v.trusted(of)
	if err != nil {
		return keyserver.Logged{}, err
	}
	var shown keyserver.Shown
	if v.record != "" || v.proof != "" || len(v.descriptors) > 0 || v.successions != "" {
		shown, err = v.read()
	} else {
		shown, err = v.fetch(ctx, of, by)
	}
	if err != nil {
		return keyserver.Logged{}, err
	}
	logged, err := shown.Verify(of, by, time.Now())
	if v.record != "" && errors.Is(err, keyserver.ErrBadAnswer) {
		err = cli.Fail(cli.Input, "p3dod keys verify --help", "these files do not show %s: %v.", text, err)
	}
	if v.save != "" && (err == nil || errors.Is(err, keylog.ErrQuorum)) {
		if bad := saveShown(v.save, shown); bad != nil {
			return logged, cli.Fail(cli.Input, "p3dod keys verify --save ANOTHER", "%v", bad)
		}
	}
	return logged, err
}

// parseShown reads whose key it is: a name, a fingerprint or a domain.
func parseShown(text string) (keyserver.Subject, error) {
	if key, err := pki.ParseFingerprint(text); err == nil {
		return keyserver.Subject{Key: key}, nil
	}
	name, domain, err := parseSubject(text)
	if name.IsZero() {
		return keyserver.Subject{Domain: domain}, err
	}
	return keyserver.Subject{Name: name}, err
}

func (v *verification) trusted(of keyserver.Subject) (by keyserver.Trusted, err error) {
	const hint = "p3dod keys verify NAME --ca FINGERPRINT --server HOST:PORT --witness b.test=FINGERPRINT"
	if by.CA, err = pki.ParseFingerprint(v.ca); err != nil {
		return by, cli.Fail(cli.Input, hint, "--ca is %q, no fingerprint.", v.ca)
	}
	home := of.Domain
	if !of.Name.IsZero() {
		home = of.Name.Domain()
	}
	seen := make(map[pki.Domain]bool)
	for _, text := range v.witnesses {
		domain, fingerprint, _ := strings.Cut(text, "=")
		w := keyserver.TrustedWitness{}
		var bad error
		w.Domain, err = pki.ParseDomain(domain)
		w.CA, bad = pki.ParseFingerprint(fingerprint)
		if errors.Join(err, bad) != nil {
			return by, cli.Fail(cli.Input, hint, "--witness is %q, not DOMAIN=FINGERPRINT.", text)
		}
		if seen[w.Domain] || w.Domain == home {
			return by, cli.Fail(cli.Input, hint, "%s cannot be a witness twice, nor of its own log.", w.Domain)
		}
		seen[w.Domain], by.Witnesses = true, append(by.Witnesses, w)
	}
	if by.Quorum = v.quorum; v.quorum < 0 {
		by.Quorum = len(by.Witnesses)
	}
	if len(by.Witnesses) > keylog.MaxCosignatures || by.Quorum > len(by.Witnesses) {
		return by, cli.Fail(cli.Input, hint, "--quorum is %d, and there are %d witnesses (%d at most).", by.Quorum, len(by.Witnesses), keylog.MaxCosignatures)
	}
	return by, nil
}

func (v *verification) fetch(ctx context.Context, of keyserver.Subject, by keyserver.Trusted) (keyserver.Shown, error) {
	if v.server == "" {
		return keyserver.Shown{}, cli.Fail(cli.Input, "p3dod keys verify --help", "say whom to ask (--server HOST:PORT), or what to read (--record, --proof, --descriptor).")
	}
	at := keyserver.Endpoint{CA: by.CA}
	address, pin, others := strings.Cut(v.server, "=")
	if at.Address = address; others {
		var err error
		if at.CA, err = pki.ParseFingerprint(pin); err != nil {
			return keyserver.Shown{}, cli.Fail(cli.Input, "p3dod keys verify NAME --ca FINGERPRINT --server HOST:PORT=FINGERPRINT", "--server: %v.", err)
		}
	}
	client := keyserver.Client{Dial: dial.Direct()}
	return client.Show(ctx, at, of, by)
}

// read takes what --save has kept.
func (v *verification) read() (s keyserver.Shown, err error) {
	if v.record == "" || v.proof == "" || v.server != "" {
		return s, cli.Fail(cli.Input, "p3dod keys verify --help", "--record, --proof and --descriptor go together, without --server.")
	}
	if s.Record, err = readShort(v.record, max(pki.MaxCardSize, pki.MaxDescriptorSize)); err != nil {
		return s, err
	}
	if s.Proof, err = readShort(v.proof, keylog.MaxProofSize); err != nil {
		return s, err
	}
	if !keylog.IsProof(s.Proof) {
		return s, cli.Fail(cli.Input, "", "%s is no proof of a log.", v.proof)
	}
	if v.successions != "" {
		raw, err := readShort(v.successions, keyserver.MaxSuccessionsSize)
		if err != nil {
			return s, err
		}
		if s.Successions, err = keyserver.ParseSuccessions(raw); err != nil {
			return s, cli.Fail(cli.Input, "", "%s has no successions: %v", v.successions, err)
		}
	}
	for _, path := range v.descriptors {
		raw, err := readShort(path, pki.MaxDescriptorSize)
		if err != nil {
			return s, err
		}
		d, err := pki.ParseDescriptor(raw)
		if err != nil {
			return s, cli.Fail(cli.Input, "", "%s is no descriptor: %v", path, err)
		}
		s.Descriptors = append(s.Descriptors, d)
	}
	return s, nil
}

// readShort reads a file of most bytes at most.
func readShort(path string, most int) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, cli.Fail(cli.Input, "", "%v", err)
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, int64(most)+1))
	if err == nil && len(raw) > most {
		err = fmt.Errorf("%s is longer than %d bytes", path, most)
	}
	if err != nil {
		return nil, cli.Fail(cli.Input, "", "%v", err)
	}
	return raw, nil
}

// saveShown writes what the file flags take.
func saveShown(dir string, s keyserver.Shown) error {
	err := os.MkdirAll(dir, 0o755)
	write := func(name string, content []byte) {
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), content, 0o644)
		}
	}
	write("record", s.Record)
	write("proof", s.Proof)
	if len(s.Successions) > 0 {
		write("successions", keyserver.MarshalSuccessions(s.Successions))
	}
	for _, d := range s.Descriptors {
		write(d.Domain.String()+".descriptor", d.Raw())
	}
	return err
}

func verifiedText(l keyserver.Logged) string {
	return fmt.Sprintf("%s\n  fingerprint: %s\n  signed until: %s\n%s%s  witnesses:   %d of those you trust, and you want %d\n",
		l.Subject, l.Fingerprint, l.Expires.Format("2 Jan 2006"), handedText(l.Handed), loggedText(l), l.Cosigned(), l.Quorum)
}

// loggedText says where in the log a record is, and who has seen it.
func loggedText(l keyserver.Logged) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  in its log:  %s, entry %d of %d, of %s\n", l.Log, l.Index, l.Size, l.Time.UTC().Format("2 Jan 2006 15:04:05 UTC"))
	for _, w := range l.Witnesses {
		switch at := w.Time.UTC().Format("2 Jan 2006 15:04:05 UTC"); {
		case w.Counts:
			fmt.Fprintf(&b, "  seen by:     %s, %s\n", w.Domain, at)
		case w.Time.IsZero():
			fmt.Fprintf(&b, "  not seen by: %s\n", w.Domain)
		default:
			fmt.Fprintf(&b, "  not seen by: %s of late (%s)\n", w.Domain, at)
		}
	}
	return b.String()
}

// verifyFailure tells what contradicts from silence.
func verifyFailure(err error, subject string) error {
	var said *cli.Failure
	var changed *pki.KeyChangedError
	again := "p3dod keys verify " + subject + " ...   (again in a minute: the log may be a moment behind)"
	switch {
	case err == nil || errors.As(err, &said):
		return err
	case errors.As(err, &changed):
		return cli.Fail(cli.KeyChanged, "ask whoever runs "+changed.Subject+" which key is theirs",
			"two keys of %s: you gave %s, and what is shown is by %s%s.", changed.Subject, changed.Pinned, changed.Shown, notHanded(err))
	case errors.Is(err, keyserver.ErrContradicted), errors.Is(err, keylog.ErrProof), errors.Is(err, keylog.ErrCheckpoint):
		return cli.Fail(cli.KeyChanged, "p3dod keys audit --since 7d", "%s is not what its log shows: %v.", subject, err)
	case errors.Is(err, keyserver.ErrNotFound):
		return cli.Fail(cli.Network, again, "%s is not in the log, as that server tells it.", subject)
	}
	return cli.Fail(cli.Network, again, "%v", err)
}
