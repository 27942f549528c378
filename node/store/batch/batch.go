// Package batch says what a write is: parameterised statements in groups, applied on every node alike at one index.
// It checks, encodes and builds batches, and knows nothing of who orders or applies them.
package batch

import (
	"errors"
	"fmt"
	"time"
)

// MaxBatch is the largest encoded batch, in bytes.
const MaxBatch = 1 << 20

// NoRows as Statement.Want says that the statement must affect no row.
const NoRows = -1

// Guard as Statement.Group is that of statements which stand first in a batch, and on which all of it hangs: where one
// of them misses its rows, nothing of the batch is applied.
const Guard = -1

// ErrConflict says that a statement of a batch did not affect the rows it had to, so that its group was undone.
var ErrConflict = errors.New("conflict: changed meanwhile")

// ErrStatement says that a statement of a batch cannot run at all (no such table, wrong number of arguments), on any
// node: a fault of the program that made it, not of its data.
var ErrStatement = errors.New("statement cannot run")

// Index as an argument of a statement stands for the index at which its batch is applied.
type Index struct{}

// Position as an argument stands for the position of its statement in the batch, plus the number: two statements
// that follow each other name the same position with Position(0) and Position(-1).
type Position int

// Statement is one parameterised statement. Args are nil, bool, int, int64, float64, string, []byte (nil is NULL),
// Index or Position; clock readings and ids are resolved by whoever makes the batch. Neither clock nor random
// functions may occur in SQL, and no INSERT ... SELECT without ORDER BY (see Batch.Check).
type Statement struct {
	SQL   string
	Args  []any
	Want  int // rows it must affect; 0: any number, NoRows: none
	Group int // statements of one group stand together in the batch and are undone together
}

// Batch is one write: all its groups in one transaction, at one index.
type Batch struct {
	Actor      string    // who: "operator anna", "task catalog-import", "computer 17"
	Reason     string    // why, in a few words
	Request    string    // id of the request; a batch with an id seen before is not applied again. Empty: no check
	At         time.Time // the clock reading it was made with
	Topics     []string  // names for Watch: what changes ("documents", "computers")
	Statements []Statement
}

// Conflict names the first statement of a group that missed its rows, broke a constraint or could not run.
type Conflict struct {
	Group     int    `json:"group"`
	Statement int    `json:"statement"` // position in the batch
	Want      int    `json:"want,omitempty"`
	Got       int    `json:"got,omitempty"`
	Problem   string `json:"problem,omitempty"` // what SQLite said, where it refused the statement
	Broken    bool   `json:"broken,omitempty"`  // Problem is one of the statement itself, see ErrStatement
}

// Err is the conflict as an error that wraps ErrConflict or ErrStatement.
func (c Conflict) Err(index uint64) error {
	switch {
	case c.Broken:
		return fmt.Errorf("statement %d of the batch at index %d: %s: %w", c.Statement, index, c.Problem, ErrStatement)
	case c.Problem != "":
		return fmt.Errorf("statement %d of the batch at index %d: %s: %w", c.Statement, index, c.Problem, ErrConflict)
	}
	return fmt.Errorf("statement %d of the batch at index %d affected %d rows, not %d: %w",
		c.Statement, index, c.Got, max(c.Want, 0), ErrConflict)
}

// Applied is the answer to a batch.
type Applied struct {
	Index     uint64
	Conflicts []Conflict // one per group that was undone
	Repeated  bool       // another batch of the request had been applied before, and this one changed nothing; Index is that of the first
}

// Err is nil when every group was applied, else an error that wraps ErrConflict or ErrStatement.
func (a Applied) Err() error {
	if len(a.Conflicts) == 0 {
		return nil
	}
	return a.Conflicts[0].Err(a.Index)
}
