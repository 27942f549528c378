// Package facts reads what an agent knows of its own computer: the facts that rules ask for, and what tells the
// computer from others.
//
// On Windows that is the registry in both views, files and their versions, the Windows Installer and the list of
// hotfixes. On Linux it is the operating system alone; rules that ask for more cannot tell. But for
// the operating system and the hotfixes, nothing is read before a rule asks for it.
package facts

import (
	"context"
	"errors"
	"fmt"

	"thatch/catalog/rule"
)

// Source knows one computer. Its methods may be called at once.
type Source interface {
	// Read prepares the facts for one scan. What cannot be read says so when it is asked for; an error is for a source
	// that knows nothing at all.
	Read(ctx context.Context) (*rule.Facts, error)
	// Machine tells the computer from others.
	Machine(ctx context.Context) (Machine, error)
}

// Machine is what tells a computer from others. Empty texts are not known.
type Machine struct {
	ID           string   `json:"id"`       // of the installed system: MachineGuid, machine-id
	Hardware     string   `json:"hardware"` // UUID or serial of the machine, the same after it was installed anew
	Name         string   `json:"name"`
	Domain       string   `json:"domain,omitempty"`
	Addresses    []string `json:"addresses,omitempty"`
	Manufacturer string   `json:"manufacturer,omitempty"`
	Model        string   `json:"model,omitempty"`
	Serial       string   `json:"serial,omitempty"`
	TimeZone     string   `json:"time_zone,omitempty"` // IANA name
	Boot         string   `json:"boot,omitempty"`      // another text after every start of the operating system
}

// untold makes an error that says why a fact cannot be read.
func untold(format string, args ...any) error {
	return fmt.Errorf("%w: %w", rule.ErrUnknown, fmt.Errorf(format, args...))
}

// Missing stands for the parts of a computer that this agent cannot read. Every question is answered with why.
type Missing struct{ Why string }

var errMissing = errors.New("not read by this agent")

func (m Missing) err() error {
	if m.Why == "" {
		return untold("%w", errMissing)
	}
	return untold("%s", m.Why)
}

// Query implements rule.WMI.
func (m Missing) Query(string, string) (bool, error) { return false, m.err() }
