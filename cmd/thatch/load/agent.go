package load

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
	random "math/rand/v2"
	"slices"
	"sync"
	"time"

	"thatch/agentapi"
	"thatch/catalog/rule"
)

// agent is one made-up computer.
type agent struct {
	name    string
	nodes   []string // the first is tried first
	token   agentapi.Token
	random  *random.Rand
	client  *agentapi.Client
	proof   *tls.Certificate // nil: not enrolled
	site    *x509.Certificate
	epoch   string
	cursor  string
	counter uint64
	tag     string
	numbers []uint32  // of all updates, shared
	has     uint32    // the update that changes say is, or is not, installed; 0 none
	later   time.Time // before this the agent does not call
	final   bool      // a node refused the last call and did not say when to come again
}

func newAgent(number int, c Config) *agent {
	first := number % len(c.Nodes)
	return &agent{
		name: fmt.Sprintf("load-%06d", number), nodes: slices.Concat(c.Nodes[first:], c.Nodes[:first]), token: c.Token,
		random: random.New(random.NewPCG(c.Seed, uint64(number))),
	}
}

// connect makes the client that calls use; connections are opened by the first call.
func (a *agent) connect() error {
	if a.client != nil {
		return nil
	}
	var err error
	a.client, err = agentapi.NewClient(a.nodes[0], agentapi.Trust{Fingerprint: a.token.Fingerprint, Authority: a.site}, a.proof)
	return err
}

// hangUp ends the agent's connection.
func (a *agent) hangUp() {
	if a.client != nil {
		a.client.Close()
		a.client = nil
	}
}

// enrol makes the agent a computer of the site.
func (a *agent) enrol(ctx context.Context, token agentapi.Token) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: a.name}}, key)
	if err != nil {
		return fmt.Errorf("make a certificate request: %w", err)
	}
	if err := a.connect(); err != nil {
		return err
	}
	answer, err := a.client.Enrol(ctx, agentapi.EnrolRequest{
		Token: token.String(), CSR: csr, Name: a.name, MachineID: a.name + "-" + rand.Text(), Platform: platform, Languages: []string{"en"}, Simulated: true,
	})
	if err != nil {
		return err
	}
	a.hangUp()
	if a.site, err = x509.ParseCertificate(answer.Authority); err != nil {
		return fmt.Errorf("the authority's certificate: %w", err)
	}
	a.proof = &tls.Certificate{Certificate: [][]byte{answer.Certificate}, PrivateKey: key}
	a.epoch = answer.Site.Epoch
	return nil
}

const platform = "windows"

// rules is what all agents learn, asked for once.
type rules struct {
	once    sync.Mutex
	cursor  string
	numbers []uint32
}

// learn asks for all rules of the site.
func (r *rules) learn(ctx context.Context, a *agent) error {
	r.once.Lock()
	defer r.once.Unlock()
	for r.numbers == nil {
		cursor, numbers := "", []uint32{}
		for more := true; more; {
			page, err := a.client.Rules(ctx, agentapi.RulesRequest{Epoch: a.epoch, Cursor: cursor, Platform: platform})
			if err != nil {
				return err
			}
			for _, u := range page.Updates {
				numbers = append(numbers, u.Number)
			}
			cursor, more = page.Cursor, page.More
		}
		slices.Sort(numbers)
		r.cursor, r.numbers = cursor, slices.Compact(numbers)
	}
	a.cursor, a.numbers = r.cursor, r.numbers
	return nil
}

// reportAll says of a few updates that they are needed, and of many that they are installed.
func (a *agent) reportAll(ctx context.Context, f *fleet) error {
	if err := a.connect(); err != nil {
		return err
	}
	if err := f.rules.learn(ctx, a); err != nil {
		return err
	}
	q := agentapi.ReportRequest{Epoch: a.epoch, Cursor: a.cursor, At: time.Now().UTC(), Facts: a.facts()}
	for _, number := range a.numbers {
		switch chance := a.random.IntN(100); {
		case chance < 2:
			q.Applicable.Add = append(q.Applicable.Add, number)
		case chance < 10:
			q.Installed.Add = append(q.Installed.Add, number)
		}
	}
	return a.report(ctx, q)
}

func (a *agent) facts() *agentapi.Facts {
	return &agentapi.Facts{
		Name: a.name, Agent: "load", Simulated: true, Manufacturer: "Example", Model: "Made up",
		System: rule.System{
			Platform: platform, Product: "Windows 11 Version 24H2 for x64-based Systems", Name: "Windows 11", Major: 10, Build: 26100,
			Revision: 1 + a.random.IntN(4000), ProductType: 1, InstallationType: "client", Architecture: "x64", Languages: []string{"en"},
		},
	}
}

// reportChange says that an update was installed, or is no more.
func (a *agent) reportChange(ctx context.Context) error {
	if err := a.connect(); err != nil {
		return err
	}
	q := agentapi.ReportRequest{Epoch: a.epoch, Base: a.counter, Cursor: a.cursor, At: time.Now().UTC()}
	former := a.has
	switch {
	case former != 0:
		q.Installed.Remove, a.has = []uint32{former}, 0
	case len(a.numbers) > 0:
		a.has = a.numbers[a.random.IntN(len(a.numbers))]
		q.Installed.Add = []uint32{a.has}
	}
	err := a.report(ctx, q)
	if err != nil {
		a.has = former // told again as it was
	}
	return err
}

// errResend says that the site lacks the report that this one builds upon.
var errResend = errors.New("the site asks for a whole report")

func (a *agent) report(ctx context.Context, q agentapi.ReportRequest) error {
	answer, err := a.client.Report(ctx, q)
	if err != nil {
		return err
	}
	a.counter = answer.Counter
	if answer.Resend {
		return errResend
	}
	return nil
}

// checkIn asks what is ordered; after the first time nothing is new.
func (a *agent) checkIn(ctx context.Context) error {
	if err := a.connect(); err != nil {
		return err
	}
	answer, err := a.client.Assignments(ctx, agentapi.AssignmentsRequest{Epoch: a.epoch, Tag: a.tag})
	if err != nil {
		return err
	}
	a.tag = answer.Tag
	return nil
}

// note remembers what an answer means to the agent: when it may come again, and that its node does not answer.
func (a *agent) note(err error) verdict {
	var told *agentapi.Error
	a.final = errors.As(err, &told) && told.After == 0
	switch {
	case err == nil:
		return verdict{}
	case told != nil && told.After > 0:
		a.later = time.Now().Add(time.Duration(told.After) * time.Second)
		return verdict{refused: true}
	case told == nil && !errors.Is(err, errResend):
		a.hangUp()
		a.nodes = append(a.nodes[1:], a.nodes[0])
	}
	return verdict{failed: err.Error()}
}

// free says whether the agent may call.
func (a *agent) free() bool { return !time.Now().Before(a.later) }

// shortRest is how long an agent waits that was not told for how long.
const shortRest = 100 * time.Millisecond

// rest waits until the agent may call again.
func (a *agent) rest(ctx context.Context) error {
	timer := time.NewTimer(max(time.Until(a.later), shortRest))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
