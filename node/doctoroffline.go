package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// offline: the keys that were to be taken away have been, and the domain has such keys.
func (e *examination) offline() {
	beside := OfflinePath(e.Dir)
	if _, err := os.Lstat(beside); !errors.Is(err, fs.ErrNotExist) {
		e.wrong("offline", fmt.Sprintf("mv %s SOMEWHERE-ELSE   (a medium that you take away)", beside),
			"the offline file lies beside the node: whoever takes this machine has it, too")
	}
	if e.authority != nil && e.authority.Commitment().Root.IsZero() {
		e.wrong("offline", e.command("rotate --key offline"), "the domain has no offline root: if its key is lost or stolen, it is for good")
	}
}
