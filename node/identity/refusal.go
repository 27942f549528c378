package identity

import "errors"

// Why an enrolment token is refused, beside ErrUnauthorised: agents do different things about each.
var (
	ErrTokenUsed  = errors.New("token is used up")
	ErrTokenEnded = errors.New("token has ended")
)

// refusal is an error for people that also is one of the errors above.
type refusal struct {
	kind error
	text error
}

func (r refusal) Error() string   { return r.text.Error() }
func (r refusal) Unwrap() []error { return []error{r.kind, r.text} }
