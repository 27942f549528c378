// Package provider signs operators in by OpenID Connect: authorisation code with state, nonce and PKCE, at the provider that
// the site's settings name.
package provider

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"thatch/node/identity"
	"thatch/node/operators"
	"thatch/node/settings"
)

const (
	callTakes = 15 * time.Second // of the provider, at most
	tripTakes = 10 * time.Minute // of the person at the provider
	secretLen = 24               // bytes of state and nonce
)

// ErrNone says that the site's settings name no provider.
var ErrNone = errors.New("this site has no provider of OpenID Connect")

// Provider signs in with whatever the settings say at the moment. It is safe for use by several goroutines.
type Provider struct {
	settings *settings.Room
	now      func() time.Time
	mu       sync.Mutex
	known    map[string]*oidc.Provider // by issuer and authorities: what was found at the issuer's address
}

// New makes one.
func New(s *settings.Room, now func() time.Time) *Provider {
	return &Provider{settings: s, now: now, known: map[string]*oidc.Provider{}}
}

// Trip is what is remembered of somebody while they are at the provider. It is for the browser to keep, sealed.
type Trip struct {
	State    string    `json:"s"`
	Nonce    string    `json:"n"`
	Verifier string    `json:"v"`
	Back     string    `json:"b"` // where they wanted to go
	Until    time.Time `json:"u"`
}

// Label is what the button to the provider says, "" where there is none.
func (p *Provider) Label(ctx context.Context) (string, error) {
	values, err := p.settings.All(ctx)
	if err != nil || settings.OIDCIssuer.In(values) == "" {
		return "", err
	}
	return settings.OIDCLabel.In(values), nil
}

// Begin is the address at the provider to which somebody is sent, and what is to be remembered meanwhile. Redirect is where
// the provider sends them back to.
func (p *Provider) Begin(ctx context.Context, redirect, back string) (string, Trip, error) {
	ctx, cancel := context.WithTimeout(ctx, callTakes)
	defer cancel()
	at, err := p.open(ctx, redirect)
	if err != nil {
		return "", Trip{}, err
	}
	trip := Trip{Verifier: oauth2.GenerateVerifier(), Back: back, Until: p.now().Add(tripTakes)}
	for _, secret := range []*string{&trip.State, &trip.Nonce} {
		raw := make([]byte, secretLen)
		if _, err := rand.Read(raw); err != nil {
			return "", trip, fmt.Errorf("make a secret: %w", err)
		}
		*secret = base64.RawURLEncoding.EncodeToString(raw)
	}
	return at.client.AuthCodeURL(trip.State, oidc.Nonce(trip.Nonce), oauth2.S256ChallengeOption(trip.Verifier)), trip, nil
}

// refuse makes an error about what the provider, or who came in its name, says.
func refuse(format string, args ...any) error { return identity.Unauthorised(format, args...) }

// Finish takes the answer with which somebody comes back, and tells whom the provider vouches for. The error wraps
// identity.ErrUnauthorised where the answer is not one to what was asked.
func (p *Provider) Finish(ctx context.Context, trip Trip, redirect, state, code string) (operators.Claims, error) {
	var claims operators.Claims
	switch {
	case trip.State == "" || subtle.ConstantTimeCompare([]byte(trip.State), []byte(state)) != 1:
		return claims, refuse("the provider's answer is none to what this browser asked: sign in again")
	case !trip.Until.After(p.now()):
		return claims, refuse("it took too long at the provider: sign in again")
	}
	ctx, cancel := context.WithTimeout(ctx, callTakes)
	defer cancel()
	at, err := p.open(ctx, redirect)
	if err != nil {
		return claims, err
	}
	ctx = oidc.ClientContext(ctx, at.http)
	token, err := at.client.Exchange(ctx, code, oauth2.VerifierOption(trip.Verifier))
	if err != nil {
		return claims, refuse("the provider gives nothing for its code: %v", err)
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return claims, refuse("the provider's answer has no id_token: is the scope openid allowed for this client?")
	}
	verified, err := at.found.VerifierContext(ctx, &oidc.Config{ClientID: at.client.ClientID, Now: p.now}).Verify(ctx, raw)
	if err != nil {
		return claims, refuse("the provider's token: %v", err)
	}
	if subtle.ConstantTimeCompare([]byte(verified.Nonce), []byte(trip.Nonce)) != 1 {
		return claims, refuse("the provider's token was made for somebody else's sign-in: sign in again")
	}
	return p.claims(at.values, verified)
}

// claims reads who a verified token is about, and which role the settings give for it.
func (p *Provider) claims(values settings.Values, token *oidc.IDToken) (operators.Claims, error) {
	var told map[string]any
	if err := token.Claims(&told); err != nil {
		return operators.Claims{}, refuse("the provider's token: %v", err)
	}
	text := func(name string) string { s, _ := told[name].(string); return s }
	c := operators.Claims{Issuer: token.Issuer, Subject: token.Subject, Display: text("name")}
	for _, name := range []string{text("preferred_username"), text("email"), token.Subject} {
		if c.Name = plainName(name); c.Name != "" {
			break
		}
	}
	has := held(told[settings.OIDCClaim.In(values)])
	for _, role := range settings.Roles(values) {
		if slices.Contains(has, role.Value) && (c.Scope == "" || identity.Least(c.Scope, role.Scope) == c.Scope) {
			c.Scope = role.Scope
		}
	}
	return c, nil
}

// held reads a claim that is a text, or a list of texts.
func held(claim any) []string {
	switch v := claim.(type) {
	case string:
		return []string{v}
	case []any:
		var all []string
		for _, one := range v {
			if s, ok := one.(string); ok {
				all = append(all, s)
			}
		}
		return all
	}
	return nil
}

// plainName is a name in the characters that names of operators have.
func plainName(name string) string {
	name = strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', strings.ContainsRune("._-@+", c):
			return c
		case c == ' ':
			return '.'
		}
		return -1
	}, strings.ToLower(strings.TrimSpace(name)))
	return name[:min(len(name), 64)]
}

// opened is the provider as the settings name it.
type opened struct {
	values settings.Values
	found  *oidc.Provider
	client *oauth2.Config
	http   *http.Client
}

func (p *Provider) open(ctx context.Context, redirect string) (*opened, error) {
	values, err := p.settings.All(ctx)
	if err != nil {
		return nil, err
	}
	issuer := settings.OIDCIssuer.In(values)
	if issuer == "" {
		return nil, ErrNone
	}
	secret, err := p.settings.Reveal(settings.OIDCSecret, values)
	if err != nil {
		return nil, err
	}
	client, err := httpClient(settings.OIDCAuthorities.In(values))
	if err != nil {
		return nil, err
	}
	found, err := p.discover(oidc.ClientContext(ctx, client), issuer, settings.OIDCAuthorities.In(values))
	if err != nil {
		return nil, err
	}
	return &opened{values, found, &oauth2.Config{
		ClientID: settings.OIDCClient.In(values), ClientSecret: secret, Endpoint: found.Endpoint(), RedirectURL: redirect,
		Scopes: []string{oidc.ScopeOpenID, "profile", "email"},
	}, client}, nil
}

// discover reads what the issuer says of itself, once.
func (p *Provider) discover(ctx context.Context, issuer, authorities string) (*oidc.Provider, error) {
	key := issuer + "\n" + authorities
	p.mu.Lock()
	found := p.known[key]
	p.mu.Unlock()
	if found != nil {
		return found, nil
	}
	found, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		return nil, fmt.Errorf("the provider of OpenID Connect: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.known) // of former settings
	p.known[key] = found
	return found, nil
}

func httpClient(authorities string) (*http.Client, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if authorities != "" && !roots.AppendCertsFromPEM([]byte(authorities)) {
		return nil, errors.New("setting oidc.authorities: no certificate can be read")
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: callTakes, DisableKeepAlives: true,
	}
	return &http.Client{Transport: transport, Timeout: callTakes}, nil
}
