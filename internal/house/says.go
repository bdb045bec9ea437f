package house

import (
	"fmt"
	"go/constant"
	"go/types"
	"strconv"
	"strings"
)

// A Number is a constant of the code that a page of documentation tells.
type Number struct {
	Text     string // what stands on the page, with # for the number; white space is one space
	Constant string // "mor/onion.Size": package and name, exported or not
	Unit     int64  // of the page, in those of the constant, as time.Second; 0: the same
}

// Says checks that a page, of which the text is given, says a number as the code has it, in
// digits that a space may divide by threes, as in 16 384.
func Says(t *Tree, page, text string, n Number) []Finding {
	value, err := t.constant(n.Constant)
	if err != nil {
		return []Finding{{page, err.Error()}}
	}
	unit := max(n.Unit, 1)
	text = strings.Join(strings.Fields(text), " ")
	divided := strings.ReplaceAll(n.Text, "#", byThrees(value/unit))
	plain := strings.ReplaceAll(n.Text, "#", strconv.FormatInt(value/unit, 10))
	if value%unit != 0 || !strings.Contains(text, divided) && !strings.Contains(text, plain) {
		return []Finding{{page, fmt.Sprintf("does not say %q, which is what %s is", divided, n.Constant)}}
	}
	return nil
}

// constant finds the value of a constant by package and name.
func (t *Tree) constant(full string) (int64, error) {
	dot := strings.LastIndexByte(full, '.')
	for _, p := range t.Packages {
		if dot < 0 || p.Path != full[:dot] || p.Types == nil {
			continue
		}
		if c, ok := p.Types.Scope().Lookup(full[dot+1:]).(*types.Const); ok {
			if value, exact := constant.Int64Val(constant.ToInt(c.Val())); exact {
				return value, nil
			}
		}
	}
	return 0, fmt.Errorf("is held against %s, which is no whole constant", full)
}

// byThrees writes a number that is not negative as 1 048 576.
func byThrees(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10)
	}
	return fmt.Sprintf("%s %03d", byThrees(n/1000), n%1000)
}
