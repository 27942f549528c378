package rule

import (
	"fmt"
	"strconv"

	"thatch/catalog/rule/expression"
)

// Evaluate holds one rule against facts. Who has many rules makes one Evaluator.
func Evaluate(r *Rule, f *Facts, k Knowledge) Verdict {
	return NewEvaluator(f, k).Evaluate(r)
}

// Evaluator holds rules against the facts of one computer during one scan. Every fact is read at most once, so all
// rules see the same computer. It is not for several goroutines at once.
type Evaluator struct {
	facts     *Facts
	knowledge Knowledge
	keys      map[keyName]read[[]string]
	values    map[valueName]read[Value]
	stats     map[fileName]read[FileInfo]
	products  map[string]read[Product]
	queries   map[queryName]read[struct{}]

	depth   int
	loop    []string     // paths of the current subkeys of the loops around, innermost last
	current *Explanation // nil: no explanation is wanted
}

// read is a fact as it was read.
type read[T any] struct {
	value  T
	exists bool
	failed answer // its reasons, when the fact could not be read
}

func (r read[T]) unread() bool { return len(r.failed.why) > 0 }

// asRead keeps what a facts source answered. The name of the fact goes into the reason when it could not be read.
func asRead[T any](value T, exists bool, err error, name string, args ...any) read[T] {
	if err != nil {
		return read[T]{failed: unread(fmt.Sprintf(name, args...), err)}
	}
	return read[T]{value: value, exists: exists}
}

type (
	keyName struct {
		place
		subkeys bool
	}
	valueName struct {
		place
		name string
	}
	fileName struct {
		csidl int
		path  string
	}
	queryName struct{ namespace, wql string }
)

// NewEvaluator starts a scan. Without knowledge, a KB is satisfied only by itself.
func NewEvaluator(f *Facts, k Knowledge) *Evaluator {
	if f == nil {
		f = &Facts{}
	}
	return &Evaluator{
		facts: f, knowledge: k,
		keys: map[keyName]read[[]string]{}, values: map[valueName]read[Value]{}, stats: map[fileName]read[FileInfo]{},
		products: map[string]read[Product]{}, queries: map[queryName]read[struct{}]{},
	}
}

// Evaluate answers a rule. No rule (nil), an operator that this version does not know, a malformed node and a fact
// that cannot be read make the answer Unknown where it hangs on them, and the verdict says why.
func (e *Evaluator) Evaluate(r *Rule) Verdict {
	e.depth, e.loop = 0, e.loop[:0]
	return e.eval(r).verdict()
}

func (e *Evaluator) eval(r *Rule) answer {
	if e.current != nil && r != nil {
		return e.explained(r)
	}
	return e.judge(r)
}

func (e *Evaluator) judge(r *Rule) answer {
	if r == nil {
		return unknown("there is no rule")
	}
	op := operators[r.Op]
	switch {
	case op.Operator == nil:
		return unknown("operator %q is not known to this version", expression.Clip(r.Op))
	case op.test == nil:
		return unknown("no facts answer %s", r.Op)
	case e.depth >= MaxDepth:
		return unknown("the rule is deeper than %d levels", MaxDepth)
	}
	if wrong := op.Malformed(r); wrong != "" {
		return unknown("malformed rule: %s %s", r.Op, wrong)
	}
	e.depth++
	a := op.test(e, r)
	e.depth--
	return a
}

func and(e *Evaluator, r *Rule) answer {
	return all(len(r.Rules), func(i int) answer { return e.eval(r.Rules[i]) })
}

func or(e *Evaluator, r *Rule) answer {
	return some(len(r.Rules), func(i int) answer { return e.eval(r.Rules[i]) })
}

func not(e *Evaluator, r *Rule) answer { return e.eval(r.Rules[0]).not() }

// prefer is not monotonic, unlike everything else: an unknown first child that becomes known may turn the answer.
func prefer(e *Evaluator, r *Rule) answer {
	var result answer
	for _, child := range r.Rules {
		a := e.eval(child)
		if a.is != Unknown {
			return a
		}
		result = result.with(a)
	}
	return result
}

func cannotTell(_ *Evaluator, r *Rule) answer {
	if why := r.With["Because"]; why != "" {
		return unknown("%s", why)
	}
	return unknown("the rule says so, and not why")
}

// number reads an attribute that is a whole number.
func number(r *Rule, name string) (int64, answer, bool) {
	n, err := strconv.ParseInt(r.With[name], 10, 64)
	if err != nil {
		return 0, wrong(r, name), false
	}
	return n, answer{}, true
}

// wrong is the answer when an attribute is not of its form.
func wrong(r *Rule, name string) answer {
	return unknown("malformed rule: %s %s=%q", r.Op, name, expression.Clip(r.With[name]))
}

// saw notes the fact that a node is judged by, when an explanation is wanted. Callers on hot paths ask explaining first.
func (e *Evaluator) saw(format string, args ...any) {
	if e.current != nil {
		e.current.Fact = fmt.Sprintf(format, args...)
	}
}

func (e *Evaluator) explaining() bool { return e.current != nil }
