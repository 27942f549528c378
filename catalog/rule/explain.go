package rule

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"thatch/catalog/rule/expression"
)

// Explanation says how a node came to its answer. Children that were not needed are left out.
type Explanation struct {
	Op     string            `json:"op"`
	With   map[string]string `json:"with,omitempty"`
	Subkey string            `json:"subkey,omitempty"` // which round of a RegKeyLoop
	Answer Answer            `json:"answer"`
	Fact   string            `json:"fact,omitempty"`    // what was found on the computer
	Why    []string          `json:"because,omitempty"` // of Unknown
	Rules  []*Explanation    `json:"rules,omitempty"`
}

// Explain answers like Evaluate and keeps how every node came to its answer.
func Explain(r *Rule, f *Facts, k Knowledge) *Explanation {
	return NewEvaluator(f, k).Explain(r)
}

// Explain answers like Evaluate and keeps how every node came to its answer.
func (e *Evaluator) Explain(r *Rule) *Explanation {
	if r == nil {
		return &Explanation{Why: e.judge(r).why}
	}
	e.depth, e.loop = 0, e.loop[:0]
	root := &Explanation{}
	e.current = root
	e.eval(r)
	e.current = nil
	return root.Rules[0]
}

// explained judges a node below the current explanation.
func (e *Evaluator) explained(r *Rule) answer {
	above := e.current
	node := &Explanation{Op: r.Op, With: r.With}
	above.Rules = append(above.Rules, node)
	e.current = node
	a := e.judge(r)
	node.Answer, node.Why = a.is, a.why
	e.current = above
	return a
}

// maxShown bounds the children of a node that String writes.
const maxShown = 20

// String writes the explanation for people: a line for each node that mattered. Of a decided And or Or that is the
// child that decided; where a node cannot tell, the children that cannot either.
func (x *Explanation) String() string {
	var out strings.Builder
	x.write(&out, 0)
	return out.String()
}

func (x *Explanation) write(out *strings.Builder, depth int) {
	fmt.Fprintf(out, "%s%s: %s", strings.Repeat("  ", depth), x.Answer, x.title())
	if x.Fact != "" {
		fmt.Fprintf(out, " -- %s", x.Fact)
	}
	shown := x.mattered()
	if len(shown) == 0 && len(x.Why) > 0 {
		fmt.Fprintf(out, " -- because %s", strings.Join(x.Why, "; "))
	}
	out.WriteByte('\n')
	for i, child := range shown {
		if i == maxShown {
			fmt.Fprintf(out, "%sand %d more, all %s\n", strings.Repeat("  ", depth+1), len(shown)-i, child.Answer)
			break
		}
		child.write(out, depth+1)
	}
}

func (x *Explanation) title() string {
	parts := []string{x.Op}
	if x.Subkey != "" {
		parts = append(parts, "["+x.Subkey+"]")
	}
	for _, name := range slices.Sorted(maps.Keys(x.With)) {
		value := x.With[name]
		if value == "" || strings.ContainsAny(value, " \t\"") {
			value = fmt.Sprintf("%q", value)
		}
		parts = append(parts, name+"="+expression.Clip(value))
	}
	return strings.Join(parts, " ")
}

func (x *Explanation) mattered() []*Explanation {
	if x.Answer == Unknown {
		return slices.DeleteFunc(slices.Clone(x.Rules), func(child *Explanation) bool { return child.Answer != Unknown })
	}
	if decided := x.Op == "And" && x.Answer == False || x.Op == "Or" && x.Answer == True || x.Op == Prefer; decided && len(x.Rules) > 0 {
		return x.Rules[len(x.Rules)-1:]
	}
	return x.Rules
}
