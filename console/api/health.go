package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"thatch/node"
	"thatch/node/identity"
	"thatch/node/settings"
)

const readyWithin = 2 * time.Second

// healthz says that the process answers.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// readyz says that the node can read its database and write through the site's quorum.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyWithin)
	defer cancel()
	if err := s.node.Ready(ctx); err != nil {
		writeError(w, r, &Error{Status: http.StatusServiceUnavailable, Code: "unavailable", Text: err.Error()})
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
}

// meter holds the node's own metrics.
type meter struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
}

func newMeter(n *node.Node) *meter {
	m := &meter{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "thatch_http_request_seconds", Help: "Requests to this node's operator door.",
			Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 5},
		}, []string{"method", "status"}),
	}
	m.registry.MustRegister(m.requests, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	n.Collect(m.registry)
	return m
}

func (m *meter) observe(method string, status int, took time.Duration) {
	m.requests.WithLabelValues(method, strconv.Itoa(status)).Observe(took.Seconds())
}

// metrics answers operators; everybody where the site's settings say so.
func (s *Server) metrics() http.Handler {
	answer := promhttp.HandlerFor(s.meter.registry, promhttp.HandlerOpts{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		values, err := s.node.Settings.All(r.Context())
		if err == nil && !settings.OpenMetrics.In(values) {
			err = s.viewer(r)
		}
		if err != nil {
			s.fail(w, r, err)
			return
		}
		answer.ServeHTTP(w, r)
	})
}

// viewer is nil for an operator of the site.
func (s *Server) viewer(r *http.Request) error {
	who, err := s.operator(r)
	if err != nil {
		return err
	}
	return who.Require(identity.Viewer)
}
