package wire

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/http"

	"thatch/catalog/document"
)

// Paths of joining and leaving.
const (
	PathJoin  = Prefix + "join"
	PathLeave = Prefix + "leave"
)

// MaxJoin bounds a JoinRequest, in bytes.
const MaxJoin = 2 << 20

// PurposeJoin is for what the key of the child's authority vouches (see identity.Vouch).
const PurposeJoin = "join"

// JoinRequest asks to become a child. It is the one call without a certificate: the token lets the caller in, and the proof
// shows that it is the site that it says.
type JoinRequest struct {
	Token     string              `json:"-"`         // goes before the request, as its bearer (RFC 6750)
	Site      string              `json:"site"`      // id
	Authority []byte              `json:"authority"` // certificate, DER
	Proof     []byte              `json:"proof"`     // signature of Proved by the authority's key
	Below     []string            `json:"below,omitempty"`
	Documents []document.Document `json:"documents"` // of the site itself: signing-key, site, language-alert
}

// Proved is what the key of the caller's authority signs. The token names the parent's authority, so a proof is good for
// one parent alone.
func (q *JoinRequest) Proved() []byte {
	var out bytes.Buffer
	for _, field := range [][]byte{[]byte(q.Token), []byte(q.Site), q.Authority} {
		_ = binary.Write(&out, binary.BigEndian, uint64(len(field))) // a buffer takes everything
		out.Write(field)
	}
	return out.Bytes()
}

// JoinResponse is what the parent tells of itself and those above it.
type JoinResponse struct {
	Site      string              `json:"site"` // id
	Name      string              `json:"name"`
	Authority []byte              `json:"authority"`
	Above     []string            `json:"above,omitempty"` // ids of the parent's ancestors, nearest first
	Documents []document.Document `json:"documents"`       // signing-key and site of the parent and its ancestors
}

// LeaveRequest says that the child leaves.
type LeaveRequest struct{}

// LeaveResponse says that the parent has forgotten it.
type LeaveResponse struct{}

// Door is where a message goes that is posted over a connection of its own.
type Door struct {
	Address string
	TLS     *tls.Config
	Token   string // goes before the message; "" none
}

// CallOnce posts one message over a connection of its own, as joining and leaving do.
func CallOnce[Answer any](ctx context.Context, to Door, path string, request any) (Answer, error) {
	var answer Answer
	base, err := ParseAddress(to.Address)
	if err != nil {
		return answer, err
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig: to.TLS, TLSHandshakeTimeout: dialTimeout, DisableKeepAlives: true,
	}
	refuse := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client := &http.Client{Transport: transport, CheckRedirect: refuse, Timeout: callTimeout}
	body, err := json.Marshal(request)
	if err != nil {
		return answer, fmt.Errorf("encode %s: %w", path, err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, base.String()+path, bytes.NewReader(body))
	if err != nil {
		return answer, fmt.Errorf("%s: %w", path, err)
	}
	r.Header.Set("Content-Type", "application/json")
	if to.Token != "" {
		r.Header.Set("Authorization", "Bearer "+to.Token)
	}
	response, err := client.Do(r)
	if err != nil {
		return answer, fmt.Errorf("call the parent at %s: %w", base.Host, err)
	}
	if response.StatusCode/100 != 2 {
		defer response.Body.Close()
		return answer, ReadError(response)
	}
	return answer, readAnswer(response, path, &answer)
}
