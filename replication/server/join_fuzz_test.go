package server_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"thatch/node/nodetest"
	"thatch/node/store"
	"thatch/replication/replicationtest"
	"thatch/replication/server"
	"thatch/replication/wire"
)

// FuzzJoin: whatever a stranger sends, he is told what is wrong with it and becomes no child.
func FuzzJoin(f *testing.F) {
	n := nodetest.New(f)
	door := server.New(n)
	token := replicationtest.Token(f, n)
	good := wire.JoinRequest{Site: "site-1", Authority: n.Identity.Authority(), Proof: []byte{1}, Below: []string{"x"}}
	raw, err := json.Marshal(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(raw))
	f.Add(`{"site":"` + n.Site().ID + `"}`)
	f.Add(`{"documents":[{}]}`)
	f.Add("null")
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest(http.MethodPost, wire.PathJoin, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+token)
		answer := httptest.NewRecorder()
		door.ServeHTTP(answer, r)
		var said wire.Error
		if answer.Code < 400 || answer.Code >= 500 || json.Unmarshal(answer.Body.Bytes(), &said) != nil || said.Code == "" || said.Text == "" {
			t.Fatalf("%q: %d %s", body, answer.Code, answer.Body)
		}
		if _, total, err := n.Sites.Children(t.Context(), store.Query{}); err != nil || total != 0 {
			t.Fatalf("%q: %d children, %v", body, total, err)
		}
	})
}
