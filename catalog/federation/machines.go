package federation

import (
	"cmp"
	"slices"
	"strings"
)

// Limits of the bodies about machines.
const (
	MaxMachines = 12_000 // of one document
	MaxMoves    = 2_000
)

// Machines is the body of a document of kind machines, whose id is the site's id, a colon and a shard: which machines a
// site has among its computers, without saying who they are. Computers whose hardware is not known are not told of, unless
// they are simulated.
type Machines struct {
	Machines map[string]int64 `json:"machines"` // digest of the machine, 16 hexadecimal digits, to when it enrolled, Unix seconds
	// Gone are those of them that another site has now and that were not heard of here since: the site counts them no more.
	// Both are those that were heard of here since: two machines with one name. Both lists are sorted.
	Gone []string `json:"gone,omitempty"`
	Both []string `json:"both,omitempty"`
}

// Answers says whether the site has heard that another one has the machine, and what came of that.
func (m *Machines) Answers(machine string) (gone, both bool) {
	_, gone = slices.BinarySearch(m.Gone, machine)
	_, both = slices.BinarySearch(m.Both, machine)
	return gone, both
}

// Validate says what is wrong with machines, or nil.
func (m Machines) Validate() error {
	if len(m.Machines) > MaxMachines {
		return invalid("%d machines, at most %d are allowed", len(m.Machines), MaxMachines)
	}
	for machine, since := range m.Machines {
		if !isMachine(machine) {
			return invalid("the machine %.40q is no digest", machine)
		}
		if since < 0 {
			return invalid("the machine %s enrolled at %d", machine, since)
		}
	}
	for _, list := range [][]string{m.Gone, m.Both} {
		for i, machine := range list {
			if _, its := m.Machines[machine]; !its || i > 0 && list[i-1] >= machine {
				return invalid("the machine %.40q that another site has is none of the site's, named twice or out of order", machine)
			}
		}
	}
	return nil
}

// Moved is the body of a document of kind moved, whose id is the id of the site that found it out: machines that several
// sites below have among their computers. The one where it enrolled last has it.
type Moved struct {
	Moves []Move `json:"moves"` // sorted by machine, then from
}

// Move says that a machine is no more of one site but of another.
type Move struct {
	Machine string `json:"machine"`
	From    string `json:"from"`  // site
	To      string `json:"to"`    // site
	Since   int64  `json:"since"` // when it enrolled there, Unix seconds
}

// Compare orders moves.
func (m Move) Compare(other Move) int {
	return cmp.Or(cmp.Compare(m.Machine, other.Machine), cmp.Compare(m.From, other.From))
}

// Validate says what is wrong with moves, or nil.
func (m Moved) Validate() error {
	if len(m.Moves) > MaxMoves {
		return invalid("%d moves, at most %d are allowed", len(m.Moves), MaxMoves)
	}
	for i, move := range m.Moves {
		switch {
		case !isMachine(move.Machine):
			return invalid("the machine %.40q is no digest", move.Machine)
		case !IsSiteID(move.From) || !IsSiteID(move.To) || move.From == move.To:
			return invalid("the machine %s moved from site %.80q to %.80q", move.Machine, move.From, move.To)
		case move.Since < 0:
			return invalid("the machine %s moved at %d", move.Machine, move.Since)
		case i > 0 && m.Moves[i-1].Compare(move) >= 0:
			return invalid("the move of machine %s is named twice or out of order", move.Machine)
		}
	}
	return nil
}

func isMachine(text string) bool {
	return len(text) == 16 && strings.Trim(text, "0123456789abcdef") == ""
}
