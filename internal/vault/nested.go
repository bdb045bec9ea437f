package vault

import (
	"bytes"
	"runtime"
	"strconv"
)

// held tells whether the goroutine of that number is in a transaction of v already.
func (v *Vault) held(by uint64) bool { return by != 0 && v.owner.Load() == by }

// goroutine is the number of the goroutine that calls it, from 1: the runtime tells it in the first
// line of a stack only, "goroutine 7 [running]:". It takes a microsecond, which is little beside the
// locks of a transaction; the HTTP/2 of net/http can check in the same way who writes its frames. If
// that line were another one day it would be 0: then a nested transaction would wait for ever.
func goroutine() uint64 {
	var stack [64]byte
	line := bytes.TrimPrefix(stack[:runtime.Stack(stack[:], false)], []byte("goroutine "))
	number, _, _ := bytes.Cut(line, []byte(" "))
	n, err := strconv.ParseUint(string(number), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
