package server_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"thatch/catalog/federation"
	"thatch/node/nodetest"
	"thatch/replication/replicationtest"
	"thatch/replication/server"
	"thatch/replication/wire"
)

// unread is a body of which nothing is to be read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body of a stranger's request is read")
	return 0, http.ErrBodyReadAfterClose
}

// TestStrangersAreAnsweredUnread: who calls is judged before anything of a request's body is read.
func TestStrangersAreAnsweredUnread(t *testing.T) {
	n := nodetest.New(t)
	door := server.New(n)
	never := federation.NewToken([federation.SecretSize]byte{1}, n.Identity.Authority()).String()
	foreign := federation.NewToken([federation.SecretSize]byte{1}, []byte("another authority")).String()
	other := replicationtest.Token(t, n)
	for name, c := range map[string]struct{ path, bearer, code string }{
		"no token":                  {wire.PathJoin, "", wire.CodeTokenUnknown},
		"nonsense":                  {wire.PathJoin, "Bearer x", wire.CodeTokenUnknown},
		"never made":                {wire.PathJoin, "Bearer " + never, wire.CodeTokenUnknown},
		"of another site":           {wire.PathJoin, "Bearer " + foreign, wire.CodeTokenUnknown},
		"another scheme":            {wire.PathJoin, "Basic " + other, wire.CodeTokenUnknown},
		"leave without certificate": {wire.PathLeave, "Bearer " + other, wire.CodeUnknown},
		"link without certificate":  {wire.PathLink, "", wire.CodeUnknown},
		"up without certificate":    {wire.PathUp, "", wire.CodeUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, c.path, unread{t})
			r.Header.Set("Authorization", c.bearer)
			answer := httptest.NewRecorder()
			door.ServeHTTP(answer, r)
			var said wire.Error
			if err := json.Unmarshal(answer.Body.Bytes(), &said); err != nil || said.Code != c.code || answer.Code != http.StatusForbidden {
				t.Errorf("%d %s, %v", answer.Code, answer.Body, err)
			}
		})
	}
}
