package identity

import (
	"errors"
	"fmt"
	"slices"

	"thatch/node/store"
)

// Errors of whoever asks to be let in.
var (
	ErrUnauthorised = errors.New("not let in")
	ErrForbidden    = errors.New("not allowed")
)

// Unauthorised makes an error that wraps ErrUnauthorised.
func Unauthorised(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnauthorised, fmt.Sprintf(format, args...))
}

// Scope is how much a caller of the API may do. Each scope holds those before it.
type Scope string

// The scopes, from the smallest.
const (
	Viewer        Scope = "viewer"        // reads everything but secrets
	Operate       Scope = "operator"      // imports, stages, makes and changes policies
	Approver      Scope = "approver"      // switches on what an operator made, where the site asks for it
	Administrator Scope = "administrator" // tokens, settings, languages, retiring computers
)

var scopes = []Scope{Viewer, Operate, Approver, Administrator}

// ParseScope reads a scope by its name.
func ParseScope(text string) (Scope, error) {
	if s := Scope(text); slices.Contains(scopes, s) {
		return s, nil
	}
	return "", store.Invalid("scope %.40q: there are viewer, operator, approver and administrator", text)
}

// Operator is an admitted caller of the API.
type Operator struct {
	Name  string // of the token, or "local"
	Token string // id of the token, "" for whoever came through the door in the data folder
	Scope Scope
}

// Local is the operator who may read the data folder of a node.
var Local = Operator{Name: "local", Scope: Administrator}

// Actor names the operator in batches and in the audit log.
func (o Operator) Actor() string {
	if o.Token == "" {
		return "operator " + o.Name
	}
	return "operator " + o.Name + " (token " + o.Token + ")"
}

// Require is ErrForbidden when the operator's scope is smaller than the one needed.
func (o Operator) Require(needed Scope) error {
	if slices.Index(scopes, o.Scope) >= slices.Index(scopes, needed) && slices.Contains(scopes, needed) {
		return nil
	}
	return fmt.Errorf("%w: this takes the scope %s, and %s has %s", ErrForbidden, needed, o.Name, o.Scope)
}
