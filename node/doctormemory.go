package node

import (
	"bytes"
	"os"
)

// swapsFile is where Linux says which swap space is in use: a line of headings, then one of each.
const swapsFile = "/proc/swaps"

// memory: what the node has in it does not come onto a disk. The keys of a lab are of no use to
// anybody.
func (e *examination) memory(swaps string) {
	if !e.serves || !e.running.Swaps || e.cfg != nil && e.cfg.Lab.Enabled || !swapping(swaps) {
		return
	}
	e.add("memory", Advised, "LimitMEMLOCK=infinity in the [Service] of its unit, or: ulimit -l unlimited; "+e.restart(),
		"the memory of the node, and with it its keys, may be written to the swap space")
}

// swapping reports whether there is swap space, or might be.
func swapping(swaps string) bool {
	list, err := os.ReadFile(swaps)
	return err != nil || bytes.Count(list, []byte{'\n'}) > 1
}
