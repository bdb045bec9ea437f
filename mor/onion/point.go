package onion

// The u-coordinates of the points of order 1, 2, 4 and 8 on Curve25519 and its twist that are smaller than 2^255,
// little-endian; p-1, p and p+1 are in it because X25519 reduces modulo p = 2^255-19 (RFC 7748, section 6.1).
const (
	pointZero   = "\x00" + zero30 + "\x00"
	pointOne    = "\x01" + zero30 + "\x00"
	pointOrder8 = "\xe0\xeb\x7a\x7c\x3b\x41\xb8\xae\x16\x56\xe3\xfa\xf1\x9f\xc4\x6a\xda\x09\x8d\xeb\x9c\x32\xb1\xfd\x86\x62\x05\x16\x5f\x49\xb8\x00"
	pointOther8 = "\x5f\x9c\x95\xbc\xa3\x50\x8c\x24\xb1\xd0\xb1\x55\x9c\x83\xef\x5b\x04\x44\x5c\xc4\x58\x1c\x8e\x86\xd8\x22\x4e\xdd\xd0\x9f\x11\x57"
	pointMinus1 = "\xec" + ones30 + "\x7f"
	pointP      = "\xed" + ones30 + "\x7f"
	pointPPlus1 = "\xee" + ones30 + "\x7f"

	zero10 = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	zero30 = zero10 + zero10 + zero10
	ones10 = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
	ones30 = ones10 + ones10 + ones10
)

// checkPoint judges the encoding of a public X25519 key: ErrLowOrder, ErrKey if it is not the shortest name of its
// point, or nil. Keys are public, so nothing here needs to be constant-time.
func checkPoint(u []byte) error {
	switch {
	case isLowOrder([x25519Size]byte(u)):
		return ErrLowOrder
	case u[31] >= 0x80, u[0] >= 0xed && string(u[1:31]) == ones30 && u[31] == 0x7f:
		return ErrKey
	}
	return nil
}

// isLowOrder reports whether X25519 of u is zero for every scalar. Like X25519 it ignores the top bit.
func isLowOrder(u [x25519Size]byte) bool {
	u[31] &= 0x7f
	switch string(u[:]) {
	case pointZero, pointOne, pointOrder8, pointOther8, pointMinus1, pointP, pointPPlus1:
		return true
	}
	return false
}
