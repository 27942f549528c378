package content

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// ClientConfig says how vendors are reached.
type ClientConfig struct {
	Proxy   string        // URL of a proxy; "": HTTP_PROXY, HTTPS_PROXY and NO_PROXY; "none": no proxy at all
	NoProxy []string      // hosts, and domains with all hosts below them, that Proxy is not used for
	CA      []byte        // PEM of certificates that are trusted beside the system's
	Timeout time.Duration // to connect, and again until an answer begins; 0: 30 seconds
}

// Client makes an HTTP client for downloads: TLS 1.2 or later, the system's certificates and the extra ones, no limit
// of time for a body (a download has its own).
func Client(cfg ClientConfig) (*http.Client, error) {
	if cfg.Timeout <= 0 {
		cfg.Timeout = 30 * time.Second
	}
	roots, err := cfg.roots()
	if err != nil {
		return nil, err
	}
	proxy := http.ProxyFromEnvironment
	switch cfg.Proxy {
	case "":
	case "none":
		proxy = nil
	default:
		fixed, err := url.Parse(cfg.Proxy)
		if err != nil || fixed.Host == "" {
			return nil, fmt.Errorf("proxy %q: want a URL such as http://proxy.example:3128", cfg.Proxy)
		}
		proxy = cfg.through(fixed)
	}
	return &http.Client{Transport: &http.Transport{
		Proxy:                 proxy,
		DialContext:           (&net.Dialer{Timeout: cfg.Timeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:   cfg.Timeout,
		ResponseHeaderTimeout: cfg.Timeout,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConns:          100,
		ForceAttemptHTTP2:     true,
	}}, nil
}

// through uses a proxy for all hosts but those of NoProxy.
func (cfg *ClientConfig) through(proxy *url.URL) func(*http.Request) (*url.URL, error) {
	direct := make([]string, len(cfg.NoProxy))
	for i, host := range cfg.NoProxy {
		direct[i] = strings.ToLower(strings.Trim(host, ". "))
	}
	return func(r *http.Request) (*url.URL, error) {
		host := strings.ToLower(r.URL.Hostname())
		for _, domain := range direct {
			if domain != "" && (host == domain || strings.HasSuffix(host, "."+domain)) {
				return nil, nil
			}
		}
		return proxy, nil
	}
}

func (cfg *ClientConfig) roots() (*x509.CertPool, error) {
	if len(cfg.CA) == 0 {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(cfg.CA) {
		return nil, errors.New("extra CA: no certificate in PEM form found")
	}
	return pool, nil
}
