package rule

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"thatch/catalog/rule/expression"
)

// Answer is one of three.
type Answer int

// The answers. The zero one is Unknown, so that nothing is told by accident.
const (
	Unknown Answer = iota
	False
	True
)

func (a Answer) String() string {
	return [...]string{"cannot tell", "false", "true"}[a]
}

// MarshalText writes "true", "false" or "unknown".
func (a Answer) MarshalText() ([]byte, error) {
	return []byte([...]string{"unknown", "false", "true"}[a]), nil
}

// UnmarshalText reads what MarshalText writes.
func (a *Answer) UnmarshalText(text []byte) error {
	i := slices.Index([]string{"unknown", "false", "true"}, string(text))
	if i < 0 {
		return fmt.Errorf("answer %q: not true, false or unknown", expression.Clip(string(text)))
	}
	*a = Answer(i)
	return nil
}

// Verdict is the answer of a rule. Because says why it cannot be told; of the other answers Explain says more.
type Verdict struct {
	Answer  Answer `json:"answer"`
	Because string `json:"because,omitempty"`
}

// maxReasons bounds the reasons that one answer carries.
const maxReasons = 4

// answer is a Verdict on its way up the tree: each reason once, in the order of the rule.
type answer struct {
	is  Answer
	why []string
}

var (
	yes = answer{is: True}
	no  = answer{is: False}
)

func tell(truth bool) answer {
	if truth {
		return yes
	}
	return no
}

func unknown(format string, args ...any) answer {
	return answer{why: []string{fmt.Sprintf(format, args...)}}
}

// unread is the answer when a fact cannot be read.
func unread(fact string, err error) answer {
	reason := err.Error()
	if errors.Is(err, ErrUnknown) {
		reason = strings.TrimPrefix(reason, ErrUnknown.Error()+": ")
	}
	return unknown("%s: %s", fact, reason)
}

// and adds another's reasons. Slices of reasons are shared and never written to.
func (a answer) with(other answer) answer {
	if len(a.why) == 0 {
		return other
	}
	why := a.why
	for _, reason := range other.why {
		if len(why) < maxReasons && !slices.Contains(why, reason) {
			why = append(slices.Clip(why), reason)
		}
	}
	return answer{why: why}
}

func (a answer) verdict() Verdict {
	return Verdict{Answer: a.is, Because: strings.Join(a.why, "; ")}
}

func (a answer) not() answer {
	switch a.is {
	case True:
		return no
	case False:
		return yes
	}
	return a
}

// all is Kleene's conjunction of test(0) to test(n-1): one false is enough.
func all(n int, test func(int) answer) answer {
	result := yes
	for i := range n {
		switch a := test(i); a.is {
		case False:
			return a
		case Unknown:
			result = answer{why: result.why}.with(a)
		}
	}
	return result
}

// some is Kleene's disjunction: one true is enough.
func some(n int, test func(int) answer) answer {
	result := no
	for i := range n {
		switch a := test(i); a.is {
		case True:
			return a
		case Unknown:
			result = answer{why: result.why}.with(a)
		}
	}
	return result
}

// both is all of two that are already answered.
func both(a, b answer) answer {
	return all(2, func(i int) answer { return [2]answer{a, b}[i] })
}

// holds judges "the computer's is <comparison> than the rule's" from how the computer's compares with the rule's.
func holds(comparison string, order int) answer {
	switch comparison {
	case "LessThan":
		return tell(order < 0)
	case "LessThanOrEqualTo":
		return tell(order <= 0)
	case "EqualTo":
		return tell(order == 0)
	case "GreaterThanOrEqualTo":
		return tell(order >= 0)
	case "GreaterThan":
		return tell(order > 0)
	}
	return unknown("comparison %q is not known", expression.Clip(comparison))
}
