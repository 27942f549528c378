//go:build !windows && !linux

package facts

import (
	"context"
	"runtime"

	"thatch/catalog/rule"
)

type other struct{}

// Local is the computer that this program runs on, of which nothing can be read on this operating system.
func Local() Source { return other{} }

func (other) Read(context.Context) (*rule.Facts, error) {
	return nil, untold("facts of %s are not read by this agent", runtime.GOOS)
}

func (other) Machine(context.Context) (Machine, error) {
	return Machine{}, untold("facts of %s are not read by this agent", runtime.GOOS)
}
