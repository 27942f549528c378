package doors_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"thatch/node/doors"
)

func TestTheLongestPrefixAnswers(t *testing.T) {
	var m doors.Mux
	for _, prefix := range []string{"/", "/api/v1/", "/api/"} {
		m.Mount(prefix, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(prefix)) }))
	}
	m.Mount("/api/", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("again")) }))
	for path, want := range map[string]string{"/x": "/", "/api/v1/x": "/api/v1/", "/api/v2": "again", "/api%2Fv1/x": "/"} {
		w := httptest.NewRecorder()
		m.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if got := w.Body.String(); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	w := httptest.NewRecorder()
	(&doors.Mux{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("nothing is mounted: %d", w.Code)
	}
}

func TestAHandlerThatPanicsIsTheNodesFault(t *testing.T) {
	var said strings.Builder
	m := doors.Mux{Log: slog.New(slog.NewTextHandler(&said, nil))}
	m.Mount("/", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("broken") }))
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), `"failed"`) || !strings.Contains(said.String(), "broken") {
		t.Errorf("%d %s; the log: %s", w.Code, w.Body, said.String())
	}
	m.Mount("/cut", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer func() {
		if recover() != http.ErrAbortHandler {
			t.Error("an answer cannot be cut short")
		}
	}()
	m.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/cut", nil))
}
