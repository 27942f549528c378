package console_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"thatch/console"
	"thatch/console/api"
	"thatch/console/api/apitest"
	"thatch/node"
	"thatch/node/identity"
	"thatch/node/nodetest"
	"thatch/node/quorum"
)

// ask has a node's door answer a request of an administrator.
func ask(t *testing.T, n *node.Node, method, path, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, path, bytes.NewBufferString(body))
	r = r.WithContext(identity.WithOperator(t.Context(), identity.Local))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	console.New(n, api.New(n, apitest.Routes(n)...)).ServeHTTP(w, r)
	return w
}

// What was written through one node of a site is read at whichever answers next; without a leader, writes are refused in words
// that say so, and reads go on.
func TestSeveralNodesOneConsole(t *testing.T) {
	if testing.Short() {
		t.Skip("three nodes in one process: not in short runs")
	}
	site := nodetest.NewSiteWith(t, nodetest.SiteConfig{Config: node.Config{Quorum: quorum.Config{Wait: 2 * time.Second}}})
	names := [][]string{{"da"}, {"fr", "sv"}, {"nl"}, {"en", "fi"}}
	for i, tags := range names {
		body, err := json.Marshal(api.Languages{Languages: tags})
		if err != nil {
			t.Fatal(err)
		}
		wrote := ask(t, site.Node(i%3), "PUT", "/api/v1/site/languages", string(body))
		index := wrote.Header().Get(api.HeaderIndex)
		if wrote.Code != http.StatusOK || index == "" {
			t.Fatalf("%d %s", wrote.Code, wrote.Body)
		}
		for other := range 3 {
			read := ask(t, site.Node(other), "GET", "/api/v1/site/languages", "", api.HeaderIndex, index)
			if !strings.Contains(read.Body.String(), `"`+tags[len(tags)-1]+`"`) {
				t.Errorf("node %d answers %s after %v were written", other, read.Body, tags)
			}
		}
	}

	follower := site.Follower()
	n := site.Node(follower)
	epoch := n.Site().Epoch
	ahead := strconv.FormatUint(n.Index()+1000, 10)
	cookie := "__Host-thatch-index=" + epoch + "." + ahead
	site.Cut(follower, true)
	began := time.Now()
	if page := ask(t, n, "GET", "/sign-in", "", "Cookie", cookie); page.Code != http.StatusServiceUnavailable || page.Header().Get("Retry-After") == "" ||
		!strings.Contains(page.Body.String(), "lags behind") {
		t.Errorf("a page of what is not here yet: %d %.300s", page.Code, page.Body)
	}
	if took := time.Since(began); took < time.Second {
		t.Errorf("it was not waited for: %v", took)
	}
	if page := ask(t, n, "GET", "/sign-in", "", "Cookie", strings.Replace(cookie, epoch, "another", 1)); page.Code == http.StatusServiceUnavailable {
		t.Errorf("the cookie of another site: %d", page.Code)
	}
	refused := ask(t, n, "PUT", "/api/v1/site/languages", `{"languages":["it"]}`)
	if refused.Code != http.StatusServiceUnavailable || refused.Header().Get("Retry-After") == "" ||
		!strings.Contains(refused.Body.String(), `"unavailable"`) || !strings.Contains(refused.Body.String(), "thatch site status") {
		t.Errorf("without a leader: %d %s", refused.Code, refused.Body)
	}
	if read := ask(t, n, "GET", "/api/v1/site/languages", ""); read.Code != http.StatusOK || !strings.Contains(read.Body.String(), `"fi"`) {
		t.Errorf("read without a leader: %d %s", read.Code, read.Body)
	}
	site.Cut(follower, false)
	site.Equal()
}
