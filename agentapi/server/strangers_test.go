package server_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"thatch/agentapi"
	"thatch/agentapi/server"
	"thatch/node/nodetest"
)

type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body of a stranger's request is read")
	return 0, http.ErrBodyReadAfterClose
}

// TestStrangersAreAnsweredUnread: who calls is judged before anything of a request's body is read.
func TestStrangersAreAnsweredUnread(t *testing.T) {
	n := nodetest.New(t)
	door := server.New(n)
	never := agentapi.NewToken([agentapi.SecretSize]byte{1}, n.Identity.Authority()).String()
	for name, c := range map[string]struct{ path, bearer string }{
		"no token":                   {agentapi.PathEnrol, ""},
		"nonsense":                   {agentapi.PathEnrol, "Bearer x"},
		"never made":                 {agentapi.PathEnrol, "Bearer " + never},
		"report without certificate": {agentapi.PathReport, "Bearer " + never},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, c.path, unread{t})
			r.Header.Set("Authorization", c.bearer)
			answer := httptest.NewRecorder()
			door.ServeHTTP(answer, r)
			var said agentapi.Error
			if err := json.Unmarshal(answer.Body.Bytes(), &said); err != nil || said.Code == "" || answer.Code/100 != 4 {
				t.Errorf("%d %s, %v", answer.Code, answer.Body, err)
			}
		})
	}
}
