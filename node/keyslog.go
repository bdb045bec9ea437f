package node

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"

	vrf "filippo.io/mostly-harmless/vrf-r255"

	"github.com/p3do/p3do/pki"
)

// The names of the keys of the key log, in the key folder.
const (
	logFile     = "log"
	witnessFile = "witness"
	labelsFile  = "labels"
)

// logging are the keys of a node's key log. Each is made if it is missing, so that the node of
// an older folder gets them at its first start; the domain's key names them in the descriptor.
//
// A log whose key was lost goes on under the same origin by another key: witnesses keep what
// they saw by origin, so the history before cannot be told otherwise. See docs/operating.md for
// what each loss means.
type logging struct {
	log     pki.LogKey
	witness pki.WitnessKey
	labels  *vrf.PrivateKey
}

func (k keyring) logging() (l logging, err error) {
	seed, err := k.readOrMake(logFile, func() ([]byte, error) {
		key, err := pki.NewLogKey(rand.Reader)
		return key.Seed(), err
	})
	if err != nil {
		return l, err
	}
	if l.log, err = pki.ParseLogKey(seed); err != nil {
		return l, fmt.Errorf("node: log key: %w", err)
	}
	seed, err = k.readOrMake(witnessFile, func() ([]byte, error) {
		key, err := pki.NewWitnessKey(rand.Reader)
		return key.Seed(), err
	})
	if err != nil {
		return l, err
	}
	if l.witness, err = pki.ParseWitnessKey(seed); err != nil {
		return l, fmt.Errorf("node: witness key: %w", err)
	}
	l.labels, err = k.labels()
	return l, err
}

func (k keyring) labels() (*vrf.PrivateKey, error) {
	raw, err := k.readOrMake(labelsFile, func() ([]byte, error) { return vrf.GenerateKey().Bytes(), nil })
	if err != nil {
		return nil, err
	}
	key, err := vrf.NewPrivateKey(raw)
	if err != nil {
		return nil, fmt.Errorf("node: key of the labels: %w", err)
	}
	return key, nil
}

// readOrMake reads a key file. A missing one is made.
func (k keyring) readOrMake(name string, fresh func() ([]byte, error)) ([]byte, error) {
	raw, err := k.read(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return raw, err
	}
	if raw, err = fresh(); err != nil {
		return nil, fmt.Errorf("node: making the key %s: %w", name, err)
	}
	return raw, k.write(name, raw)
}

// describe puts the public halves into our descriptor.
func (l logging) describe(d *pki.Descriptor) {
	d.Log, d.Witness = l.log.Public(), l.witness.Public()
	d.Labels = [pki.LabelsSize]byte(l.labels.PublicKey().Bytes())
}
