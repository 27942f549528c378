package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"thatch/node/doors"
	"thatch/node/folder"
)

const dialTimeout = 10 * time.Second

// Config says which node, and who asks.
type Config struct {
	Dir         string // data folder of a node on this machine; used when Server is empty
	Server      string // https://HOST:PORT
	Token       string
	Authority   string // file with the PEM of the site's authority
	Fingerprint string // or the SHA-256 of its certificate in hexadecimal; neither: the system's own roots
}

// New finds the node. It does not speak to it yet; a folder in which no node has opened its door is ErrNoNode.
func New(cfg Config) (*Client, error) {
	if cfg.Server != "" {
		return remote(cfg)
	}
	socket, err := socketPath(cfg.Dir)
	if err != nil {
		return nil, err
	}
	_, err = os.Stat(socket)
	switch {
	case err == nil:
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "unix", socket)
		}
		return &Client{base: "http://node", where: cfg.Dir, http: &http.Client{Transport: &http.Transport{DialContext: dial}}}, nil
	case errors.Is(err, fs.ErrPermission):
		return nil, notYours(cfg.Dir)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("the door of the node at %s: %w", cfg.Dir, err)
	}
	return fileDoor(cfg.Dir)
}

func socketPath(dir string) (string, error) {
	elsewhere, err := os.ReadFile(filepath.Join(dir, folder.SocketPathFile))
	switch {
	case err == nil:
		return string(elsewhere), nil
	case errors.Is(err, fs.ErrPermission):
		return "", notYours(dir)
	}
	return filepath.Join(dir, folder.SocketFile), nil
}

func notYours(dir string) error {
	return fmt.Errorf("you may not read the data folder %s: ask its owner, or use --server with a token", dir)
}

func fileDoor(dir string) (*Client, error) {
	text, err := os.ReadFile(filepath.Join(dir, folder.DoorFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, noNode(dir, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("the door of the node at %s: %w", dir, err)
	}
	var door doors.File
	if err := json.Unmarshal(text, &door); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, folder.DoorFile), err)
	}
	host, port, err := net.SplitHostPort(door.Address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, folder.DoorFile), err)
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	c, err := remote(Config{Server: "https://" + net.JoinHostPort(host, port), Token: door.Token, Fingerprint: door.Fingerprint})
	if err == nil {
		c.where = dir
	}
	return c, err
}

func noNode(where string, cause error) error {
	hint := "start one with: thatch node run --data " + where
	if strings.Contains(where, "://") {
		hint = "is it running, and is the address right?"
	}
	if cause != nil {
		return fmt.Errorf("%w at %s (%w); %s", ErrNoNode, where, cause, hint)
	}
	return fmt.Errorf("%w at %s; %s", ErrNoNode, where, hint)
}

func remote(cfg Config) (*Client, error) {
	base, err := url.Parse(strings.TrimSuffix(cfg.Server, "/"))
	if err != nil || base.Scheme != "https" || base.Host == "" {
		return nil, askedFor("server %q: want https://HOST:PORT", cfg.Server)
	}
	trusted, err := trust(cfg)
	if err != nil {
		return nil, err
	}
	pinned := cfg.Authority != "" || cfg.Fingerprint != ""
	return &Client{base: base.String(), token: cfg.Token, where: base.String(), pinned: pinned, http: &http.Client{Transport: &http.Transport{
		TLSClientConfig: trusted, ForceAttemptHTTP2: true, Proxy: http.ProxyFromEnvironment,
		DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext, TLSHandshakeTimeout: dialTimeout,
	}}}, nil
}

// trust says which server certificates are good: those of the authority in a file, or of the one with a fingerprint,
// which nodes send at the end of their chain.
func trust(cfg Config) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS13}
	if cfg.Authority != "" {
		text, err := os.ReadFile(cfg.Authority)
		if err != nil {
			return nil, askedFor("read the site's authority: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, askedFor("%s holds no certificate in PEM", cfg.Authority)
		}
		return c, nil
	}
	if cfg.Fingerprint == "" {
		return c, nil
	}
	want, err := hex.DecodeString(strings.ReplaceAll(cfg.Fingerprint, ":", ""))
	if err != nil || len(want) != sha256.Size {
		return nil, askedFor("fingerprint %.80q: want the 64 hexadecimal digits that thatch site show prints", cfg.Fingerprint)
	}
	c.InsecureSkipVerify = true // the chain is verified below, against the one authority with the fingerprint
	c.VerifyConnection = func(state tls.ConnectionState) error { return verifyPinned(state, want) }
	return c, nil
}

func verifyPinned(state tls.ConnectionState, fingerprint []byte) error {
	chain := state.PeerCertificates
	for _, cert := range chain {
		if sum := sha256.Sum256(cert.Raw); bytes.Equal(sum[:], fingerprint) {
			roots := x509.NewCertPool()
			roots.AddCert(cert)
			_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
			return err
		}
	}
	return fmt.Errorf("%w %x", errOtherAuthority, fingerprint)
}

var errOtherAuthority = errors.New("its authority does not have the fingerprint")

// stranger says what to do where a server answers that is not known to be of the site; nil for other errors.
func (c *Client) stranger(err error) error {
	var unknown *tls.CertificateVerificationError
	switch {
	case errors.Is(err, errOtherAuthority), c.pinned && errors.As(err, &unknown):
		return askedFor("the server at %s is not of the site that was named: %w; compare with what thatch site show prints on the node's machine", c.where, err)
	case errors.As(err, &unknown):
		return askedFor("the server at %s cannot be told from another: %w; give --fingerprint, as thatch site show prints it on the node's machine", c.where, err)
	}
	return nil
}
