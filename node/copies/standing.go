package copies

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"thatch/node/bulletins/holdings"
	"thatch/node/bulletins/staging"
	"thatch/node/membership"
)

// counts are of what was done since the start.
type counts struct {
	pulled, bytes, given, wrong atomic.Int64
}

// shortFor is how long there are too few copies of a payload until that is said.
const shortFor = 10 * time.Minute

// short is a payload of which there are too few copies.
type short struct {
	name  string
	since time.Time // known here
	holdings.Standing
}

// Stand says how many copies there are of a payload, and how many are to be.
func Stand(f *holdings.File, copies int, nodes []membership.Fellow) holdings.Standing {
	s := holdings.Standing{Nodes: []string{}, Size: f.Size}
	voters, silent := 0, 0 // of those without a vote, such as are not gone
	for i := range nodes {
		n := &nodes[i]
		switch {
		case n.Votes:
			voters++
		case !gone(n):
			silent++
		}
		if f.On(n.ID) {
			s.Nodes = append(s.Nodes, n.Name)
			if !gone(n) {
				s.Copies++
			}
		}
	}
	s.Of = len(Placed(f.SHA256, copies, nodes))
	if copies > 0 {
		s.Of = min(copies, voters) + silent // also where too few of them are there
	}
	return s
}

// Standings says how many copies there are of each payload that the site holds, by SHA-256.
func (k *Keeper) Standings(ctx context.Context) (map[string]holdings.Standing, error) {
	copies, err := k.cfg.Copies(ctx)
	if err != nil {
		return nil, err
	}
	files, err := holdings.Read(ctx, k.cfg.Reader)
	nodes, all := k.cfg.Sisters.Fellows(), make(map[string]holdings.Standing, len(files))
	for i := range files {
		all[files[i].SHA256] = Stand(&files[i], copies, nodes)
	}
	return all, err
}

// Holder is a node with what it is to do with a payload.
type Holder struct {
	Node   string `json:"node"` // id
	Name   string `json:"name"`
	Holds  bool   `json:"holds"`
	Should bool   `json:"should"` // it is to hold it
	Living bool   `json:"living"` // it answers
	Why    string `json:"why,omitempty"`
}

// Holders are the nodes of the site with what each is to do with a payload.
func (k *Keeper) Holders(ctx context.Context, sum string) ([]Holder, error) {
	copies, err := k.cfg.Copies(ctx)
	if err != nil {
		return nil, err
	}
	file, err := holdings.Of(ctx, k.cfg.Reader, sum)
	nodes, list := k.cfg.Sisters.Fellows(), []Holder{}
	placed := Placed(sum, copies, nodes)
	for i := range nodes {
		n := &nodes[i]
		one := Holder{Node: n.ID, Name: n.Name, Holds: file.On(n.ID), Should: slices.Contains(placed, n.ID), Living: n.Living}
		if n.ID == k.cfg.Node {
			k.mu.Lock()
			one.Why = k.failures[sum].text
			k.mu.Unlock()
		}
		list = append(list, one)
	}
	return list, err
}

// notice keeps since when there are too few copies of what is needed.
func (k *Keeper) notice(lacking map[string]short, known map[string]staging.Known) {
	now := k.cfg.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	for sum, s := range lacking {
		s.name, s.since = known[sum].Name, now
		if former, before := k.short[sum]; before {
			s.since = former.since
		}
		lacking[sum] = s
	}
	k.short = lacking
}

// Problems are what is to be said of copies: of what there were too few for long.
func (k *Keeper) Problems() []membership.Problem {
	k.mu.Lock()
	defer k.mu.Unlock()
	since := k.cfg.Now().Add(-shortFor)
	var worst short
	var sum string
	number := 0
	for digest, s := range k.short {
		if s.since.After(since) {
			continue
		}
		number++
		if number == 1 || cmp.Or(cmp.Compare(s.Copies, worst.Copies), cmp.Compare(digest, sum)) < 0 {
			sum, worst = digest, s
		}
	}
	if number == 0 {
		return nil
	}
	p := membership.Problem{
		Level: membership.LevelWarning, Kind: membership.ProblemCopies,
		Advice: fmt.Sprintf("see which node lacks it, and why: thatch content show %s; a node that is gone for good: thatch site remove NODE", sum[:12]),
		Text:   fmt.Sprintf("payload %s has %d of %d copies", cmp.Or(worst.name, sum[:12]), worst.Copies, worst.Of),
	}
	if number > 1 {
		p.Text = fmt.Sprintf("%d payloads have too few copies; payload %s has %d of %d", number, cmp.Or(worst.name, sum[:12]), worst.Copies, worst.Of)
	}
	if worst.Copies == 0 {
		p.Level = membership.LevelError
	}
	return []membership.Problem{p}
}

// Collect registers the metrics of copies.
func (k *Keeper) Collect(into prometheus.Registerer) {
	into.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "thatch_payloads_short", Help: "Payloads that the site needs and of which there are too few copies.",
	}, func() float64 {
		k.mu.Lock()
		defer k.mu.Unlock()
		return float64(len(k.short))
	}))
	for _, c := range []struct {
		name, help string
		count      *atomic.Int64
	}{
		{"pulled", "Payloads that came from other nodes of the site.", &k.counts.pulled},
		{"pulled_bytes", "Bytes of payloads that came from other nodes of the site.", &k.counts.bytes},
		{"given_up", "Copies of payloads above their number that this node gave up.", &k.counts.given},
		{"wrong", "Payloads of which another node of the site gave something else.", &k.counts.wrong},
	} {
		into.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "thatch_payloads_" + c.name + "_total", Help: c.help + " Since the start of this node.",
		}, func() float64 { return float64(c.count.Load()) }))
	}
}
