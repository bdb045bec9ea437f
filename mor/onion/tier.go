package onion

// tier is the shape of one of the two onions. Both are a stack of equal slots, each [enc | AEAD tag | command], over
// a fixed content; stack.go works on either.
type tier struct {
	enc     int // width of a KEM encapsulation
	command int // width of a command
	slots   int
	content int // bytes under all slots
}

// The two tiers (constants, but for Go's grammar).
var (
	outerTier = tier{enc: x25519Size, command: OuterCommandSize, slots: OuterSlots, content: InnerSize}
	innerTier = tier{enc: xwingSize, command: InnerCommandSize, slots: InnerSlots}
)

// slot is what one layer adds, and what one peel appends.
func (t tier) slot() int { return t.enc + aeadTagSize + t.command }

// size is the whole stack, the same before and after every peel.
func (t tier) size() int { return t.slots*t.slot() + t.content }

// sealed is the part of the stack that the AEAD encrypts: command and rest.
func (t tier) sealed() int { return t.size() - t.enc - aeadTagSize }
