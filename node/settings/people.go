package settings

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"thatch/node/identity"
)

// How operators sign in, and for how long.
var (
	SignInAttempts = define(Setting[int]{
		Name: "operators.attempts", Default: 5,
		Text:  "wrong passwords, or wrong codes, after which an operator's sign-in is locked: for a minute, then twice as long each time, up to 15 minutes",
		check: between(3, 100),
	})
	SessionIdle = define(Setting[int]{
		Name: "operators.idle", Default: 3600, Text: "seconds without a request after which a session ends",
		check: between(300, 30*24*3600),
	})
	SessionLasts = define(Setting[int]{
		Name: "operators.lasts", Default: 12 * 3600, Text: "seconds after which a session ends in any case",
		check: between(300, 90*24*3600),
	})
	SecondFactor = define(Setting[bool]{
		Name: "operators.second_factor", Default: false,
		Text: "operators who sign in with a password or by a link set up a second factor before anything else; API tokens, and those for whom the OpenID Connect provider vouches, are not asked",
	})
	// PolicyApproval is about policies that are made here: those from above were approved where they were made.
	PolicyApproval = define(Setting[bool]{
		Name: "policies.approval", Default: false,
		Text: "a policy that somebody below the scope approver made or changed stays switched off until an approver enables it, who is somebody else",
	})
)

// The provider of OpenID Connect by which operators sign in, where there is one.
var (
	OIDCIssuer = define(Setting[string]{
		Name: "oidc.issuer", Text: "URL of the OpenID Connect provider with which operators sign in; empty: none",
		check: checkIssuer,
	})
	OIDCClient = define(Setting[string]{Name: "oidc.client", Text: "client id of this site at the provider"})
	OIDCSecret = define(Setting[Sealed]{Name: "oidc.secret", Text: "client secret of this site at the provider; kept sealed, and never shown"})
	OIDCLabel  = define(Setting[string]{Name: "oidc.label", Default: "Single sign-on", Text: "what the button says that leads to the provider"})
	OIDCClaim  = define(Setting[string]{Name: "oidc.claim", Default: "groups", Text: "claim of the provider's token that gives roles: a text or a list of texts"})
	OIDCRoles  = define(Setting[[]string]{
		Name: "oidc.roles", Default: []string{},
		Text:  "VALUE=SCOPE for each value of the claim that gives a role; the greatest counts. Who has none must be an operator already, with that subject",
		check: checkRoles,
	})
	OIDCAuthorities = define(Setting[string]{
		Name: "oidc.authorities", Text: "more authorities trusted for the provider's own addresses, certificates in PEM",
		check: checkPEM,
	})
)

// Sealed is a secret as the database keeps it, see Room.Reveal.
type Sealed string

// secretKind is the type of settings whose values are never shown.
const secretKind = "secret"

// hidden stands for the value of a secret that is set.
var hidden = json.RawMessage(`"(not shown)"`)

// Sealer encrypts what the database keeps sealed.
type Sealer interface {
	Seal(purpose string, secret []byte) ([]byte, error)
	Unseal(purpose string, sealed []byte) ([]byte, error)
}

// seal makes of a secret that a person gave, as JSON, what is kept.
func (r *Room) seal(name string, value json.RawMessage) (json.RawMessage, error) {
	var plain string
	if err := json.Unmarshal(value, &plain); err != nil {
		return nil, fmt.Errorf("setting %s: %w", name, err)
	}
	sealed, err := r.sealer.Seal("setting "+name, []byte(plain))
	if err != nil {
		return nil, err
	}
	return json.Marshal(base64.StdEncoding.EncodeToString(sealed))
}

// Reveal is a secret in plain, "" where it is not set.
func (r *Room) Reveal(s Setting[Sealed], v Values) (string, error) {
	kept := s.In(v)
	if kept == "" {
		return "", nil
	}
	sealed, err := base64.StdEncoding.DecodeString(string(kept))
	if err != nil {
		return "", fmt.Errorf("setting %s: %w: set it again", s.Name, err)
	}
	plain, err := r.sealer.Unseal("setting "+s.Name, sealed)
	if err != nil {
		return "", fmt.Errorf("setting %s: %w: set it again", s.Name, err)
	}
	return string(plain), nil
}

// checkIssuer wants HTTPS, but of a provider on this machine.
func checkIssuer(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return errors.New("want https://HOST/PATH, as the provider calls itself")
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme != "https" && (u.Scheme != "http" || ip == nil || !ip.IsLoopback()) {
		return errors.New("want https://")
	}
	return nil
}

// Role is what a value of the provider's claim gives.
type Role struct {
	Value string
	Scope identity.Scope
}

// Roles reads the setting OIDCRoles.
func Roles(v Values) []Role {
	var roles []Role
	for _, text := range OIDCRoles.In(v) {
		if role, err := parseRole(text); err == nil {
			roles = append(roles, role)
		}
	}
	return roles
}

func parseRole(text string) (Role, error) {
	at := strings.LastIndexByte(text, '=')
	if at < 1 {
		return Role{}, fmt.Errorf("%.80q is no VALUE=SCOPE", text)
	}
	scope, err := identity.ParseScope(text[at+1:])
	return Role{text[:at], scope}, err
}

func checkRoles(list []string) error {
	for _, text := range list {
		if _, err := parseRole(text); err != nil {
			return err
		}
	}
	return nil
}
