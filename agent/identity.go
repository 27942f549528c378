package agent

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"strings"

	"thatch/agent/folder"
	"thatch/agentapi"
	"thatch/catalog/document"
	"thatch/catalog/rule"
)

// identity is what makes the agent a computer of a site.
type identity struct {
	Computer    string           `json:"computer"`
	Nodes       []string         `json:"nodes"` // addresses of the enrolment: the last way, where the site's list has none that answers
	Site        agentapi.Site    `json:"site"`
	MachineID   string           `json:"machine_id"`
	Key         []byte           `json:"key"` // PKCS #8
	Certificate []byte           `json:"certificate"`
	Authority   []byte           `json:"authority"`
	Keys        document.Keyring `json:"keys"` // signing keys of sites
	Simulated   bool             `json:"simulated,omitempty"`

	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	authority   *x509.Certificate
}

func loadIdentity(f folder.Folder) (*identity, error) {
	id := &identity{}
	if err := f.Read(identityFile, id); err != nil {
		return nil, err
	}
	if id.Computer == "" {
		return nil, nil
	}
	if err := id.parse(); err != nil {
		return nil, fmt.Errorf("identity in %s: %w: enrol this computer again", f.Path(identityFile), err)
	}
	return id, nil
}

// parse reads key and certificates and checks that they belong together.
func (id *identity) parse() error {
	key, err := x509.ParsePKCS8PrivateKey(id.Key)
	if err != nil {
		return fmt.Errorf("key: %w", err)
	}
	own, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return fmt.Errorf("key is a %T", key)
	}
	if id.certificate, err = x509.ParseCertificate(id.Certificate); err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	if id.authority, err = x509.ParseCertificate(id.Authority); err != nil {
		return fmt.Errorf("certificate of the authority: %w", err)
	}
	if !own.PublicKey.Equal(id.certificate.PublicKey) {
		return errors.New("the certificate is for another key")
	}
	if err := id.certificate.CheckSignatureFrom(id.authority); err != nil {
		return fmt.Errorf("certificate is not of the site's authority: %w", err)
	}
	id.key = own
	return nil
}

// dial makes a client of a node.
func (a *Agent) dial(address string) (*agentapi.Client, error) {
	id := a.identity
	trust := agentapi.Trust{Authority: id.authority, Now: a.cfg.Now}
	return agentapi.NewClient(address, trust, &tls.Certificate{Certificate: [][]byte{id.Certificate}, PrivateKey: id.key})
}

// newKey makes the agent's own key and a request for its certificate.
func newKey(name string) (pkcs8, csr []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make a key: %w", err)
	}
	if pkcs8, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		return nil, nil, fmt.Errorf("make a key: %w", err)
	}
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}
	if csr, err = x509.CreateCertificateRequest(rand.Reader, template, key); err != nil {
		return nil, nil, fmt.Errorf("request a certificate: %w", err)
	}
	return pkcs8, csr, nil
}

// Enrol makes the agent a computer of the site that made the token. Nodes are addresses of the site's nodes; the first
// that answers is asked. A folder that is enrolled already is refused with an error; Forget it first.
func (a *Agent) Enrol(ctx context.Context, nodes []string, token string) error {
	if a.identity != nil {
		return fmt.Errorf("this folder is enrolled as computer %s of site %s already", a.identity.Computer, a.identity.Site.Name)
	}
	parsed, err := agentapi.ParseToken(token)
	if err != nil {
		return err
	}
	for _, node := range nodes {
		if err := agentapi.CheckNode(node); err != nil {
			return err
		}
	}
	request, key, err := a.enrolRequest(ctx, token)
	if err != nil {
		return err
	}
	var failed []error
	for i, node := range nodes {
		client, err := agentapi.NewClient(node, agentapi.Trust{Fingerprint: parsed.Fingerprint, Now: a.cfg.Now}, nil)
		if err != nil {
			return err
		}
		answer, err := client.Enrol(ctx, request)
		client.Close()
		if err == nil {
			order := append([]string{client.Node()}, nodes[:i]...)
			return a.accept(request, answer, key, append(order, nodes[i+1:]...), parsed)
		}
		failed = append(failed, fmt.Errorf("enrol at %s: %w", client.Node(), err))
		var refused *agentapi.Error
		if errors.As(err, &refused) && refused.Code != agentapi.CodeBusy {
			break // another node of the site would say the same
		}
	}
	return errors.Join(failed...)
}

func (a *Agent) enrolRequest(ctx context.Context, token string) (request agentapi.EnrolRequest, key []byte, err error) {
	machine, err := a.machine(ctx)
	if err != nil {
		return request, nil, err
	}
	read, err := a.cfg.Source.Read(ctx)
	if err != nil && !errors.Is(err, rule.ErrUnknown) {
		return request, nil, err
	}
	key, csr, err := newKey(machine.Name)
	request = agentapi.EnrolRequest{
		Token: strings.TrimSpace(token), CSR: csr, Name: machine.Name, MachineID: machine.ID, Hardware: machine.Hardware,
		Simulated: a.cfg.Simulated,
	}
	if read != nil && read.System != nil {
		request.Platform, request.Languages = read.System.Platform, read.System.Languages
	}
	return request, key, err
}

func (a *Agent) accept(request agentapi.EnrolRequest, answer agentapi.EnrolResponse, key []byte, nodes []string, token agentapi.Token) error {
	if agentapi.Fingerprint(answer.Authority) != token.Fingerprint {
		return fmt.Errorf("%w: it names another authority than the token", agentapi.ErrUntrusted)
	}
	id := &identity{
		Computer: answer.Computer, Nodes: nodes, Site: answer.Site, MachineID: request.MachineID, Key: key,
		Certificate: answer.Certificate, Authority: answer.Authority, Keys: document.Keyring{}, Simulated: a.cfg.Simulated,
	}
	if err := id.parse(); err != nil {
		return fmt.Errorf("answer to the enrolment: %w", err)
	}
	if id.Computer == "" {
		return errors.New("answer to the enrolment: it names no computer")
	}
	for _, doc := range answer.Keys {
		if _, err := id.Keys.Learn(doc); err != nil {
			return fmt.Errorf("answer to the enrolment: %w", err)
		}
	}
	if err := a.folder.Write(identityFile, id); err != nil {
		return err
	}
	a.identity = id
	a.node.Load(id.Computer, id.Nodes)
	return nil
}

// renew asks for a new certificate, under a new key, once two thirds of the present one's life are over. The present
// one is good until then, so a refusal is only logged.
func (a *Agent) renew(ctx context.Context) error {
	present := a.identity.certificate
	life := present.NotAfter.Sub(present.NotBefore)
	if a.cfg.Now().Before(present.NotBefore.Add(life / 3 * 2)) {
		return nil
	}
	key, csr, err := newKey(present.Subject.CommonName)
	if err != nil {
		return err
	}
	answer, err := a.node.Client.Renew(ctx, agentapi.RenewRequest{CSR: csr})
	if err != nil {
		return fmt.Errorf("renew the certificate: %w", err)
	}
	next := *a.identity
	next.Key, next.Certificate = key, answer.Certificate
	if err := next.parse(); err != nil {
		return fmt.Errorf("renew the certificate: %w", err)
	}
	a.step("renewed")
	if err := a.folder.Write(identityFile, &next); err != nil {
		return err
	}
	a.identity = &next
	a.node.HangUp()
	return a.node.Connect()
}

// learn takes signing keys that a node passed on. A key that nobody vouches for is refused; the rest goes on.
func (a *Agent) learn(keys []document.Document) error {
	learnt := false
	for _, doc := range keys {
		changed, err := a.identity.Keys.Learn(doc)
		if err != nil {
			a.cfg.Log.Warn("a signing key is refused", "error", err)
		}
		learnt = learnt || changed
	}
	if !learnt {
		return nil
	}
	return a.folder.Write(identityFile, a.identity)
}
