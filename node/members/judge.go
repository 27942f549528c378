package members

import (
	"fmt"

	"thatch/node/identity"
	"thatch/node/store"
	"thatch/node/store/rows"
)

// Codes of Refusal, as they go over the wire.
const (
	CodeTokenUnknown = "token_unknown" // never made here, or revoked
	CodeTokenUsed    = "token_used"    // by another node
	CodeTokenExpired = "token_expired"
	CodeTaken        = "refused" // the id is another node's
	CodeRemoved      = "removed" // the node was shut out
	CodeStranger     = "stranger"
)

// Refusal says why a node is not let in. It counts as identity.ErrUnauthorised, or as store.ErrConflict where the id is taken.
type Refusal struct {
	Code string
	Text string
}

// Refuse makes a Refusal.
func Refuse(code, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Text: fmt.Sprintf(format, args...)}
}

// Removed is what a node hears that was removed.
func Removed(n Node) *Refusal {
	why := ""
	if n.Reason != "" {
		why = " (" + n.Reason + ")"
	}
	return Refuse(CodeRemoved, "node %s (%s) was removed from the site at %s%s: it cannot come back; join from an empty data folder with a new token",
		n.Name, n.ID, rows.Stamp(n.Removed), why)
}

// Error implements error.
func (r *Refusal) Error() string { return r.Text }

// Is tells what kind of error it is.
func (r *Refusal) Is(target error) bool {
	if r.Code == CodeTaken {
		return target == store.ErrConflict
	}
	return target == identity.ErrUnauthorised
}
