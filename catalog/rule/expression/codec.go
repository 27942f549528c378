package expression

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Limits of a rule that is decoded.
const (
	MaxDepth = 64
	MaxNodes = 20_000
)

// plain is a Node without methods.
type plain struct {
	Op    string            `json:"op"`
	With  map[string]string `json:"with"`
	Rules []*plain          `json:"rules"`
}

// UnmarshalJSON decodes one rule, whole or not at all: every node names an operator, MaxDepth and MaxNodes hold. Keys
// that this version does not know are ignored (a new meaning takes a new operator), so wherever a rule is part of a
// larger value it is decoded as safely as by Decode.
func (r *Node) UnmarshalJSON(data []byte) error {
	fast := canonical{text: string(data)}
	if parsed := fast.parse(); parsed != nil {
		*r = *parsed
		return nil
	}
	var tree plain
	if err := json.Unmarshal(data, &tree); err != nil {
		return fmt.Errorf("rule: %w", err)
	}
	nodes := 0
	decoded, err := tree.node(1, &nodes)
	if err != nil {
		return fmt.Errorf("rule: %w", err)
	}
	*r = *decoded
	return nil
}

func (p *plain) node(depth int, nodes *int) (*Node, error) {
	*nodes++
	switch {
	case p == nil:
		return nil, errors.New("a node is null")
	case p.Op == "":
		return nil, errors.New("a node names no operator: \"op\" is missing or empty")
	case depth > MaxDepth:
		return nil, fmt.Errorf("deeper than %d levels", MaxDepth)
	case *nodes > MaxNodes:
		return nil, fmt.Errorf("more than %d nodes", MaxNodes)
	}
	r := &Node{Op: p.Op}
	if len(p.With) > 0 {
		r.With = p.With
	}
	if len(p.Rules) > 0 {
		r.Rules = make([]*Node, len(p.Rules))
	}
	for i, child := range p.Rules {
		var err error
		if r.Rules[i], err = child.node(depth+1, nodes); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Decode reads the JSON of one rule; see Node.UnmarshalJSON.
func Decode(data []byte) (*Node, error) {
	r := new(Node)
	if err := json.Unmarshal(data, r); err != nil {
		return nil, err
	}
	return r, nil
}

// Encode writes a rule. Equal rules have equal bytes, and so has what is decoded and encoded again.
func Encode(r *Node) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r); err != nil {
		return nil, fmt.Errorf("encode rule: %w", err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}
