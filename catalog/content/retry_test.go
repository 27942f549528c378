package content

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// answers gives one answer after the other, without a network.
type answers struct {
	give  []func() *http.Response
	asked []time.Time
}

func (a *answers) RoundTrip(*http.Request) (*http.Response, error) {
	a.asked = append(a.asked, time.Now())
	next := a.give[min(len(a.asked), len(a.give))-1]()
	return next, nil
}

func answer(status int, body []byte, after string) func() *http.Response {
	return func() *http.Response {
		header := http.Header{}
		if after != "" {
			header.Set("Retry-After", after)
		}
		return &http.Response{StatusCode: status, Header: header, ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body))}
	}
}

// A download waits as long as the server asks it to, where that is not long, and says how long it is where it does not.
func TestRetryAfter(t *testing.T) {
	p := payload(9, 1000)
	for name, c := range map[string]struct {
		status int
		after  string
		waits  time.Duration // until the second try; 0: there is none
		says   time.Duration
	}{
		"seconds":       {429, "35", 35 * time.Second, 0},
		"busy":          {503, "90", 90 * time.Second, 0},
		"none":          {503, "", time.Second, 0},
		"less than own": {429, "0", time.Second, 0},
		"nonsense":      {429, "soon", time.Second, 0},
		"negative":      {429, "-5", time.Second, 0},
		"a date":        {429, "Sat, 01 Jan 2000 00:01:00 GMT", time.Minute, 0}, // the bubble's clock begins at midnight
		"a date past":   {429, "Fri, 31 Dec 1999 00:01:00 GMT", time.Second, 0},
		"too long":      {429, "7200", 0, 2 * time.Hour},
		"far too long":  {429, "99999999999999999999", time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t)
			synctest.Test(t, func(t *testing.T) {
				web := &answers{give: []func() *http.Response{answer(c.status, nil, c.after), answer(200, p, "")}}
				s, err := Open(dir, Options{Client: &http.Client{Transport: web}})
				if err != nil {
					t.Fatal(err)
				}
				_, err = s.Download(t.Context(), Request{URL: "http://vendor.example/p", SHA256: sum(p)}, nil)
				if c.waits == 0 {
					var status *StatusError
					if !errors.As(err, &status) || status.After != c.says || len(web.asked) != 1 {
						t.Fatalf("asked %d times: %v", len(web.asked), err)
					}
					return
				}
				if err != nil || len(web.asked) != 2 {
					t.Fatalf("asked %d times: %v", len(web.asked), err)
				}
				if waited := web.asked[1].Sub(web.asked[0]); waited != c.waits {
					t.Errorf("waited %s, want %s", waited, c.waits)
				}
			})
		})
	}
}
