package wql

import (
	"cmp"
	"fmt"
	"math/big"
	"strings"
)

// node is a condition of a row.
type node interface {
	of(row map[string]literal) verdict
}

// verdict of a condition. A comparison with null is null, as in SQL: neither true nor, under NOT, false.
type verdict struct {
	is  truth
	why error // of untold
}

type truth int

const (
	no truth = iota
	yes
	isNull
	untold
)

func tell(is bool) verdict {
	if is {
		return verdict{is: yes}
	}
	return verdict{is: no}
}

type (
	allOf   []node
	anyOf   []node
	negated struct{ node }
)

func (n allOf) of(row map[string]literal) verdict { return fold(n, row, no) }

func (n anyOf) of(row map[string]literal) verdict { return fold(n, row, yes) }

// fold joins conditions of which one that is decisive decides; otherwise untold wins over null, and null over the rest.
func fold(nodes []node, row map[string]literal, decisive truth) verdict {
	result := verdict{is: yes}
	if decisive == yes {
		result.is = no
	}
	for _, n := range nodes {
		switch v := n.of(row); v.is {
		case decisive:
			return v
		case untold:
			result = v
		case isNull:
			if result.is != untold {
				result = v
			}
		}
	}
	return result
}

func (n negated) of(row map[string]literal) verdict {
	switch v := n.node.of(row); v.is {
	case yes:
		return verdict{is: no}
	case no:
		return verdict{is: yes}
	default:
		return v
	}
}

func uncollected(property string) verdict {
	return verdict{is: untold, why: fmt.Errorf("property %s was not collected", property)}
}

type likeness struct {
	property string
	pattern  *pattern
}

func (l *likeness) of(row map[string]literal) verdict {
	v, has := row[l.property]
	switch {
	case !has:
		return uncollected(l.property)
	case v.kind == null:
		return verdict{is: isNull}
	case v.kind == text:
		return tell(l.pattern.matches(v.lower))
	case v.kind == numeric:
		return tell(l.pattern.matches(strings.ToLower(v.text)))
	}
	return verdict{is: untold, why: fmt.Errorf("property %s is no text", l.property)}
}

type comparison struct {
	property string
	sign     string
	with     literal
}

func (c *comparison) of(row map[string]literal) verdict {
	v, has := row[c.property]
	switch {
	case !has:
		return uncollected(c.property)
	case c.with.kind == null && c.sign == "=":
		return tell(v.kind == null)
	case c.with.kind == null && c.sign == "<>":
		return tell(v.kind != null)
	case v.kind == null || c.with.kind == null:
		return verdict{is: isNull}
	}
	order, ok := v.compare(c.with)
	if !ok {
		return verdict{is: untold, why: fmt.Errorf("property %s does not compare with what is asked", c.property)}
	}
	switch c.sign {
	case "=":
		return tell(order == 0)
	case "<>":
		return tell(order != 0)
	case "<":
		return tell(order < 0)
	case "<=":
		return tell(order <= 0)
	case ">":
		return tell(order > 0)
	}
	return tell(order >= 0)
}

// compare orders two values: texts without regard to case, numbers by value (64-bit numbers travel as texts), truth
// values as 0 and 1 or as the words.
func (v literal) compare(with literal) (order int, ok bool) {
	if v.kind == text && with.kind == text {
		return cmp.Compare(v.lower, with.lower), true
	}
	a, aok := v.asNumber()
	b, bok := with.asNumber()
	if !aok || !bok {
		return 0, false
	}
	return a.Cmp(b), true
}

func (v literal) asNumber() (*big.Rat, bool) {
	switch v.kind {
	case numeric:
		return v.number, true
	case text:
		switch v.lower {
		case "true":
			return big.NewRat(1, 1), true
		case "false":
			return new(big.Rat), true
		}
		return parseNumber(v.text)
	case boolean:
		if v.truth {
			return big.NewRat(1, 1), true
		}
		return new(big.Rat), true
	}
	return nil, false
}
