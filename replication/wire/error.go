package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Codes of Error. One that is not here is legal: the text says what happened.
const (
	CodeNotAlerted   = "not_alerted"   // the language alert has not arrived, or says something else than the request
	CodeNoRule       = "no_rule"       // no enabled rule of the type sends anything to this child
	CodeOld          = "old"           // the cursor is older than what the journal remembers: a complete run is needed
	CodeEpoch        = "epoch"         // the site was restored from a backup: likewise
	CodeDiverged     = "diverged"      // the journal is not the one the cursor was made from: likewise, and an alarm
	CodeAudience     = "audience"      // the child's audience is another than the cursor's: a complete run is needed
	CodeBehind       = "behind"        // this node lags behind the cursor: come again
	CodeNotLeader    = "not_leader"    // another node of the parent talks with children: Error.Leader, where one leads
	CodeRevoked      = "revoked"       // the child was shut out
	CodeUnknown      = "unknown_site"  // the caller is no child of this site
	CodeRefused      = "refused"       // what was asked for or sent is not the caller's
	CodeInvalid      = "invalid"       // the request makes no sense
	CodeTooLarge     = "too_large"     //
	CodeBusy         = "busy"          // come again after Error.After
	CodeClosed       = "closed"        // the windows of the link are closed; Error.After says when they open
	CodeNotHeld      = "not_held"      // the payload is not here yet; Error.After says when to ask again
	CodeTokenUnknown = "token_unknown" // never made here, revoked, or of another site
	CodeTokenUsed    = "token_used"    // by another site
	CodeTokenExpired = "token_expired" //
	CodeLoop         = "loop"          // the tree would bite its tail
)

// Error is an answer that is not what was asked for.
type Error struct {
	Code  string `json:"code"`
	Text  string `json:"error"`
	After int    `json:"after,omitempty"` // seconds; how long to wait before the call is tried again
	// Leader is the address (https://HOST:PORT) of the node to call instead. What answers there has to prove that it is of the
	// same site.
	Leader string `json:"leader,omitempty"`
}

// Error makes an answer of the parent an error of Go.
func (e *Error) Error() string {
	if e.Code == "" {
		return "the parent answered: " + e.Text
	}
	return fmt.Sprintf("the parent answered %s: %s", e.Code, e.Text)
}

// Refuse makes an Error.
func Refuse(code, format string, args ...any) *Error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

// ErrNoLink is wrapped by errors that say that there is no connection with the neighbour that is to do something.
var ErrNoLink = errors.New("there is no connection")

type noLink string

func (n noLink) Error() string { return string(n) }
func (noLink) Unwrap() error   { return ErrNoLink }

// NoLink makes an error that wraps ErrNoLink and says in its own words with whom there is no connection.
func NoLink(format string, args ...any) error { return noLink(fmt.Sprintf(format, args...)) }

// CodeOf is the code of an answer that err wraps, "" where there is none.
func CodeOf(err error) string {
	var answer *Error
	if errors.As(err, &answer) {
		return answer.Code
	}
	return ""
}

// LeaderOf is the address of the node that err says should be called instead, "" where it names none.
func LeaderOf(err error) string {
	var answer *Error
	if !errors.As(err, &answer) || answer.Code != CodeNotLeader {
		return ""
	}
	base, err := ParseAddress(answer.Leader)
	if err != nil {
		return ""
	}
	return base.String()
}

// After is how long an answer that err wraps asks to wait.
func After(err error) time.Duration {
	var answer *Error
	if errors.As(err, &answer) {
		return min(time.Duration(answer.After)*time.Second, maxAfter)
	}
	return 0
}

const (
	maxAfter = 24 * time.Hour
	maxError = 64 << 10
)

// ReadError turns an answer that is not 2xx into an *Error, whatever sent it.
func ReadError(response *http.Response) error {
	raw, _ := io.ReadAll(io.LimitReader(response.Body, maxError)) // what cannot be read has no text
	answer := &Error{}
	if err := json.Unmarshal(raw, answer); err != nil || answer.Text == "" && answer.Code == "" {
		*answer = Error{Text: response.Status} // a proxy, or another program at its port
		if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil {
			answer.After = seconds
		}
	}
	answer.Text = Text(answer.Text)
	return answer
}

// Status is the HTTP status of a code.
func Status(code string) int {
	switch code {
	case CodeRevoked, CodeUnknown, CodeRefused, CodeTokenUnknown, CodeTokenUsed, CodeTokenExpired:
		return http.StatusForbidden
	case CodeNotAlerted, CodeNoRule, CodeOld, CodeEpoch, CodeDiverged, CodeAudience, CodeLoop:
		return http.StatusConflict
	case CodeBusy, CodeBehind, CodeClosed, CodeNotLeader:
		return http.StatusServiceUnavailable
	case CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case CodeNotHeld:
		return http.StatusNotFound
	}
	return http.StatusBadRequest
}
