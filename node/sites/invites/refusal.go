package invites

import (
	"fmt"
	"time"

	"thatch/node/identity"
	"thatch/node/store"
)

// Codes of Refusal, as they go over the wire.
const (
	CodeTokenUnknown = "token_unknown" // never made here, revoked, or of another site
	CodeTokenUsed    = "token_used"    // by another site, or by one that was removed since
	CodeTokenExpired = "token_expired"
	CodeLoop         = "loop"         // the tree would bite its tail
	CodeBusy         = "busy"         // come again
	CodeRevoked      = "revoked"      // the child was shut out
	CodeUnknown      = "unknown_site" // no child of this site
	CodeInvalid      = "invalid"      // what was sent makes no sense
	CodeTaken        = "refused"      // the id is another site's
)

// Refusal says why another site is not let in, or not taken as a child. It counts as identity.ErrUnauthorised where
// somebody is to be kept out, as store.ErrInvalid or store.ErrConflict otherwise.
type Refusal struct {
	Code  string
	Text  string
	After time.Duration // when to come again, 0: it makes no sense
}

// Refuse makes a Refusal.
func Refuse(code, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Text: fmt.Sprintf(format, args...)}
}

// Error implements error.
func (r *Refusal) Error() string { return r.Text }

// Is tells what kind of error it is.
func (r *Refusal) Is(target error) bool {
	switch r.Code {
	case CodeLoop, CodeBusy, CodeTaken:
		return target == store.ErrConflict
	case CodeInvalid:
		return target == store.ErrInvalid
	}
	return target == identity.ErrUnauthorised
}
