package onion

// Specification constants: every width is in bytes. docs/spec/onion.md, section "Sizes".
const (
	// Version is byte 0 of a wire packet and of an entry frame.
	Version = 1
	// Suite is byte 1 of a wire packet and of an entry frame. A second value would be a second anonymity set.
	Suite = 1
	// Size is the length of every wire packet and every entry frame: one full TLS 1.3 record.
	Size = 16384

	// OuterSlots is the largest number of hops of the outer tier.
	OuterSlots = 4
	// OuterSlotSize is one outer slot: X25519 share 32, AEAD tag 16, command 48.
	OuterSlotSize = x25519Size + aeadTagSize + OuterCommandSize
	// OuterCommandSize is the plaintext command of one outer layer.
	OuterCommandSize = 48

	// InnerSlots is the largest number of hops of the inner tier.
	InnerSlots = 4
	// InnerSlotSize is one inner slot: MLKEM768X25519 encapsulation 1120, AEAD tag 16, command 64.
	InnerSlotSize = xwingSize + aeadTagSize + InnerCommandSize
	// InnerCommandSize is the plaintext command of one inner layer.
	InnerCommandSize = 64
	// InnerSize is a bare inner packet: a header of four slots, then the body.
	InnerSize = innerHeaderSize + BodySize
	// BodySize is the part of an inner packet under the wide-block cipher: 32 zero bytes, then the payload.
	BodySize = zerosSize + PayloadSize
	// PayloadSize is what a user may carry in one packet; shorter content is padded above this package.
	PayloadSize = 11148

	// SURBSize is a single-use reply block: header 4800, first server 32, body key 32.
	SURBSize = innerHeaderSize + serverIDSize + bodyKeySize
	// SURBKeysSize is what the maker of a SURB stores: version 1, hop count 1, body key 32, four hop keys of 32.
	SURBKeysSize = 1 + 1 + bodyKeySize + InnerSlots*bodyKeySize
	// EntryPadSize is the token and padding at the end of an entry frame.
	EntryPadSize = Size - headSize - serverIDSize - InnerSize
	// MaxBudget is the largest leg budget that an Exposed command may carry.
	MaxBudget = 3

	// ServerKeySize is a public server key: ML-KEM-768 encapsulation key 1184, X25519 32.
	ServerKeySize = 1216
	// SeedSize is the stored form of either kind of private key.
	SeedSize = 32

	headSize        = 4 // version, suite, epoch
	tagSize         = 16
	prefixSize      = headSize + tagSize // what stands before the outer stack
	outerStackSize  = OuterSlots*OuterSlotSize + InnerSize
	innerHeaderSize = InnerSlots * InnerSlotSize
	aeadTagSize     = 16
	x25519Size      = 32
	xwingSize       = 1120
	serverIDSize    = 32
	bodyKeySize     = 32
	zerosSize       = 32
)

// The sums above are the format: this does not compile unless stack and prefix fill a packet exactly.
var _ [Size]byte = [prefixSize + outerStackSize]byte{}
