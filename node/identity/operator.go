package identity

import (
	"context"
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

// Forbidden makes an error that wraps ErrForbidden.
func Forbidden(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrForbidden, fmt.Sprintf(format, args...))
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

// Scopes are all of them, from the smallest.
func Scopes() []Scope { return slices.Clone(scopes) }

// ParseScope reads a scope by its name.
func ParseScope(text string) (Scope, error) {
	if s := Scope(text); slices.Contains(scopes, s) {
		return s, nil
	}
	return "", store.Invalid("scope %.40q: there are viewer, operator, approver and administrator", text)
}

// Operator is who calls: a person with a session, a person or tool with a token, or whoever may read the data folder.
type Operator struct {
	ID      string // of the operator, "" for tokens of nobody's own and for Local
	Name    string // of the operator, of the token, or "local"
	Display string // for people, "" the name
	Token   string // id of the token, "" without one
	Session string // id of the session, "" without one
	Scope   Scope
	Part    Part // of the site; the zero one is the whole
}

// Local is the operator who may read the data folder of a node.
var Local = Operator{Name: "local", Scope: Administrator}

// IsLocal says whether it is who may read the data folder.
func (o Operator) IsLocal() bool { return o.ID == "" && o.Token == "" && o.Name == Local.Name }

// Actor names the operator in batches and in the audit log.
func (o Operator) Actor() string {
	if o.Token == "" {
		return "operator " + o.Name
	}
	return "operator " + o.Name + " (token " + o.Token + ")"
}

// Holds says whether the operator's scope holds another.
func (o Operator) Holds(needed Scope) bool {
	return slices.Index(scopes, o.Scope) >= slices.Index(scopes, needed) && slices.Contains(scopes, needed)
}

// Require is ErrForbidden when the operator's scope is smaller than the one needed.
func (o Operator) Require(needed Scope) error {
	if o.Holds(needed) {
		return nil
	}
	return Forbidden("this takes the scope %s, and %s has %s", needed, o.Name, o.Scope)
}

// Least is the smaller of two scopes.
func Least(a, b Scope) Scope {
	if slices.Index(scopes, a) < slices.Index(scopes, b) {
		return a
	}
	return b
}

type operatorKey struct{}

// WithOperator returns a context whose work is done for an operator, who is admitted already.
func WithOperator(ctx context.Context, who Operator) context.Context {
	return context.WithValue(ctx, operatorKey{}, who)
}

// OperatorOf is the operator of a context.
func OperatorOf(ctx context.Context) (Operator, bool) {
	who, ok := ctx.Value(operatorKey{}).(Operator)
	return who, ok
}
