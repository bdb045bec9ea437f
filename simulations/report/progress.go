package report

import (
	"fmt"
	"strings"
	"time"
)

// barWidth is how wide the bar of a progress line is.
const barWidth = 24

// Progress is a line that says how far a run is: so many of so many worlds after so long. The time left is what the worlds so far took
// on average; before the first it is not known.
func Progress(done, all int, after time.Duration) string {
	full := barWidth
	if all > 0 {
		full = barWidth * done / all
	}
	left := "?"
	if done > 0 {
		left = (after * time.Duration(all-done) / time.Duration(done)).Round(time.Second).String()
	}
	return fmt.Sprintf("%s%s %d of %d worlds, %s left", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), done, all, left)
}
