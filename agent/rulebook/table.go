package rulebook

import (
	"encoding/binary"
	"maps"
	"slices"

	"thatch/catalog/document"
	"thatch/catalog/rule"
)

type node = rule.Rule

// table gathers the texts and the nodes of rules of one page, each once: the updates of a vendor say the same of their
// computers again and again. A node names its children by earlier places, so there are no circles.
type table struct {
	texts     map[string]uint64
	textBytes []byte
	nodes     map[string]uint64 // by their bytes
	seen      map[*node]uint64
	nodeBytes []byte
}

func (t *table) text(s string) uint64 {
	at, known := t.texts[s]
	if !known {
		if t.texts == nil {
			t.texts = map[string]uint64{}
		}
		at = uint64(len(t.texts))
		t.texts[s] = at
		t.textBytes = text(t.textBytes, s)
	}
	return at
}

// rule is the place of a rule after its children's, counted from 1; 0 is none.
func (t *table) rule(n *node) uint64 {
	if n == nil {
		return 0
	}
	if at, known := t.seen[n]; known {
		return at
	}
	raw := binary.AppendUvarint(nil, t.text(n.Op))
	raw = binary.AppendUvarint(raw, uint64(len(n.With)))
	for _, key := range slices.Sorted(maps.Keys(n.With)) {
		raw = binary.AppendUvarint(raw, t.text(key))
		raw = binary.AppendUvarint(raw, t.text(n.With[key]))
	}
	raw = binary.AppendUvarint(raw, uint64(len(n.Rules)))
	for _, child := range n.Rules {
		raw = binary.AppendUvarint(raw, t.rule(child))
	}
	at, known := t.nodes[string(raw)]
	if !known {
		if t.nodes == nil {
			t.nodes, t.seen = map[string]uint64{}, map[*node]uint64{}
		}
		at = uint64(len(t.nodes)) + 1
		t.nodes[string(raw)] = at
		t.nodeBytes = append(t.nodeBytes, raw...)
	}
	t.seen[n] = at
	return at
}

// leastUpdate is the size of the smallest update: its digest, and 17 numbers of one byte.
const leastUpdate = len(document.Digest{}) + 17

// update appends what scans ask of an update: what people read is left out.
func (t *table) update(w []byte, e *Entry) []byte {
	u := &e.Body
	w = binary.AppendUvarint(w, uint64(e.Number))
	w = append(w, e.Digest[:]...)
	w = append(w, one(u.Withdrawn)|one(u.Detector)<<1)
	for _, s := range []string{e.ID, e.Month, u.Name, u.KB, u.Product.ID, u.Product.Name, u.Class, u.FixedBuild, u.NoRule} {
		w = binary.AppendUvarint(w, t.text(s))
	}
	for _, r := range []*node{u.Applicable, u.Installed, u.Superseded} {
		w = binary.AppendUvarint(w, t.rule(r))
	}
	w = t.list(t.list(w, u.CVEs), u.Supersedes)
	w = binary.AppendUvarint(w, uint64(len(u.Prerequisites)))
	for _, group := range u.Prerequisites {
		w = t.list(w, group)
	}
	return w
}

func (t *table) list(w []byte, texts []string) []byte {
	w = binary.AppendUvarint(w, uint64(len(texts)))
	for _, s := range texts {
		w = binary.AppendUvarint(w, t.text(s))
	}
	return w
}

// tables reads both tables.
func (r *reader) tables() {
	r.texts = make([]string, r.count(1))
	for i := range r.texts {
		r.texts[i] = r.text()
	}
	nodes := make([]node, r.count(3))
	r.nodes = make([]*node, 1, len(nodes)+1)
	for i := range nodes {
		n := &nodes[i]
		n.Op = r.named()
		if attributes := r.count(2); attributes > 0 {
			n.With = make(map[string]string, attributes)
			for range attributes {
				key := r.named()
				n.With[key] = r.named()
			}
		}
		if children := r.count(1); children > 0 {
			n.Rules = make([]*node, children)
			for at := range n.Rules {
				n.Rules[at] = r.rule()
			}
		}
		r.nodes = append(r.nodes, n)
	}
}

// named reads the place of a text.
func (r *reader) named() string {
	if len(r.texts) == 0 {
		r.failed = true
		return ""
	}
	return r.texts[r.uvarint(uint64(len(r.texts)-1))]
}

// rule reads the place of a rule.
func (r *reader) rule() *node { return r.nodes[r.uvarint(uint64(len(r.nodes)-1))] }

func (r *reader) list() []string {
	count := r.count(1)
	if count == 0 {
		return nil
	}
	texts := make([]string, count)
	for i := range texts {
		texts[i] = r.named()
	}
	return texts
}

func (r *reader) update(e *Entry) {
	e.Number = r.number()
	copy(e.Digest[:], r.bytes(len(e.Digest)))
	if flags := r.bytes(1); flags != nil {
		e.Body.Withdrawn, e.Body.Detector = flags[0]&1 != 0, flags[0]&2 != 0
	}
	u := &e.Body
	for _, s := range []*string{&e.ID, &e.Month, &u.Name, &u.KB, &u.Product.ID, &u.Product.Name, &u.Class, &u.FixedBuild, &u.NoRule} {
		*s = r.named()
	}
	for _, n := range []**node{&u.Applicable, &u.Installed, &u.Superseded} {
		*n = r.rule()
	}
	u.CVEs, u.Supersedes = r.list(), r.list()
	groups := r.count(1)
	for range groups {
		u.Prerequisites = append(u.Prerequisites, r.list())
	}
}
