package agentapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Codes of Error. A code that is not here is legal: the text says what happened.
const (
	CodeTokenUsed    = "token_used"    // its use limit is reached
	CodeTokenExpired = "token_expired" // too late
	CodeTokenUnknown = "token_unknown" // never made here, or revoked
	CodeRetired      = "retired"       // the computer was taken out of the site: it must enrol again
	CodeClone        = "clone"         // another computer uses this identity: enrol again
	CodeBusy         = "busy"          // come again after Error.After
	CodeLeaving      = "leaving"       // the node stops: ask another one
	CodeTooSoon      = "too_soon"      // it is granted later: after Error.After
	CodeInvalid      = "invalid"       // the request makes no sense; trying again will not help
	CodeTooLarge     = "too_large"
	CodeNotHeld      = "not_held" // the node does not hold the payload
)

// Error makes an answer of a node an error of Go.
func (e *Error) Error() string {
	if e.Code == "" {
		return "the node answered: " + e.Text
	}
	return fmt.Sprintf("the node answered %s: %s", e.Code, e.Text)
}

// HasCode says whether err is an answer of a node with that code.
func HasCode(err error, code string) bool {
	var answer *Error
	return errors.As(err, &answer) && answer.Code == code
}

// readError turns an answer that is not 2xx into an *Error, whatever sent it.
func readError(response *http.Response) error {
	raw, _ := io.ReadAll(io.LimitReader(response.Body, maxError))
	answer := &Error{}
	if err := json.Unmarshal(raw, answer); err != nil || answer.Text == "" && answer.Code == "" {
		// Not a node's own answer: a proxy, or another program on its port. Its text is not repeated.
		*answer = Error{Text: response.Status}
		if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil {
			answer.After = seconds
		}
	}
	if len(answer.Text) > MaxText {
		answer.Text = answer.Text[:MaxText]
	}
	return answer
}

// Backoff says how long to wait before a call is tried again.
type Backoff struct {
	First time.Duration // after the first failure
	Most  time.Duration // never longer, but for a node's own word
	// Random is from 0 up to 1; nil: math/rand.
	Random func() float64
}

// maxAfter bounds the wait that a node may ask for.
const maxAfter = 24 * time.Hour

// Wait is how long to wait after the failures'th failure (1 is the first). Half of it is chance, so that agents do not
// come back together. When the error carries Error.After, that is the least.
func (b Backoff) Wait(failures int, err error) time.Duration {
	random := b.Random
	if random == nil {
		random = rand.Float64
	}
	wait := b.First
	for i := 1; i < failures && wait < b.Most; i++ {
		wait *= 2
	}
	wait = min(wait, b.Most)
	wait = wait/2 + time.Duration(random()*float64(wait/2))
	var answer *Error
	if errors.As(err, &answer) && answer.After > 0 {
		after := min(time.Duration(answer.After)*time.Second, maxAfter)
		wait = max(wait, after+time.Duration(random()*float64(after/10)))
	}
	return wait
}

// Unreachable says whether err is that no connection to a node was made, or that it was cut.
func Unreachable(err error) bool {
	var call *url.Error
	return errors.As(err, &call) && !errors.Is(err, ErrUntrusted) && !errors.Is(err, context.Canceled)
}
