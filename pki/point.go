package pki

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
)

// A point is an Ed25519 public key that is not of small order.
type point [ed25519.PublicKeySize]byte

var errPoint = errors.New("pki: public key: want 32 bytes, a point of Ed25519 that is not of small order")

// parsePoint takes 32 bytes for a public key. Points of small order are
// refused: under such a key one signature fits many messages.
func parsePoint(b []byte) (point, error) {
	if len(b) != ed25519.PublicKeySize {
		return point{}, errPoint
	}
	p := point(b)
	masked := p
	masked[31] &= 0x7f // the sign of x
	text := hex.EncodeToString(masked[:])
	for _, y := range smallOrder {
		if text == y {
			return point{}, errPoint
		}
	}
	return p, nil
}

// smallOrder lists the y coordinates, little-endian, of all encodings of the
// eight points whose order divides 8, the two that are not reduced included.
var smallOrder = [...]string{
	"0000000000000000000000000000000000000000000000000000000000000000", // 0, order 4
	"0100000000000000000000000000000000000000000000000000000000000000", // 1, order 1
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", // order 8
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", // order 8
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // p-1, order 2
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // p = 0
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // p+1 = 1
}
