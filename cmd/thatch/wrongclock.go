//go:build wrongclock

package main

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// A program built with this tag is for tests of what wrong clocks do: its clock is off by the seconds in the file that
// THATCH_WRONG_CLOCK names, read each time.
func init() {
	path := os.Getenv("THATCH_WRONG_CLOCK")
	clock = func() time.Time {
		text, err := os.ReadFile(path)
		off, bad := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil || bad != nil {
			return time.Now()
		}
		return time.Now().Add(time.Duration(off) * time.Second)
	}
}
