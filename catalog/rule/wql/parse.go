// Package wql answers whether a query of Windows Management Instrumentation has rows, over tables that were collected
// before: SELECT ... FROM class WHERE ..., with AND, OR, NOT, comparisons, LIKE and IS NULL.
//
// It follows Microsoft's description of the language ("WQL (SQL for WMI)"). Queries of schemas, events and
// associations are refused.
package wql

import (
	"errors"
	"fmt"
	"strings"
)

// Query is a query that was read.
type Query struct {
	Class string
	where node // nil: every row
	// negates says that there is a NOT, under which a comparison with null is not simply false.
	negates bool
}

// Parse reads a query. Errors say where and what was expected.
func Parse(text string) (*Query, error) {
	words, err := split(text)
	if err != nil {
		return nil, err
	}
	p := &parser{words: words}
	q, err := p.query()
	if err != nil {
		return nil, err
	}
	return q, nil
}

type parser struct {
	words   []word
	next    int
	depth   int
	negates bool
}

func (p *parser) peek() word { return p.words[p.next] }

func (p *parser) take() word {
	w := p.words[p.next]
	if w.kind != end {
		p.next++
	}
	return w
}

// accept takes the next word if it is the one expected.
func (p *parser) accept(text string) bool {
	if p.peek().is(text) {
		p.next++
		return true
	}
	return false
}

func (p *parser) expect(text string) error {
	if !p.accept(text) {
		return fmt.Errorf("expected %s, not %s", text, p.peek())
	}
	return nil
}

func (p *parser) query() (*Query, error) {
	if err := p.expect("SELECT"); err != nil {
		return nil, err
	}
	for {
		if w := p.take(); w.kind != name && !w.is("*") {
			return nil, fmt.Errorf("expected * or a property, not %s", w)
		}
		if !p.accept(",") {
			break
		}
	}
	if err := p.expect("FROM"); err != nil {
		return nil, err
	}
	class := p.take()
	if class.kind != name {
		return nil, fmt.Errorf("expected a class, not %s", class)
	}
	q := &Query{Class: class.text}
	if p.accept("WHERE") {
		var err error
		if q.where, err = p.or(); err != nil {
			return nil, err
		}
	}
	q.negates = p.negates
	if w := p.peek(); w.kind != end {
		return nil, fmt.Errorf("expected the end, not %s", w)
	}
	return q, nil
}

func (p *parser) or() (node, error) {
	return p.joined("OR", p.and, func(nodes []node) node { return anyOf(nodes) })
}

func (p *parser) and() (node, error) {
	return p.joined("AND", p.term, func(nodes []node) node { return allOf(nodes) })
}

// joined reads terms with a word between them.
func (p *parser) joined(between string, term func() (node, error), join func([]node) node) (node, error) {
	var nodes []node
	for {
		n, err := term()
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
		if !p.accept(between) {
			break
		}
	}
	if len(nodes) == 1 {
		return nodes[0], nil
	}
	return join(nodes), nil
}

func (p *parser) term() (node, error) {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > MaxDepth {
		return nil, fmt.Errorf("more than %d levels", MaxDepth)
	}
	switch {
	case p.accept("NOT"):
		n, err := p.term()
		p.negates = true
		return negated{n}, err
	case p.accept("("):
		n, err := p.or()
		if err != nil {
			return nil, err
		}
		return n, p.expect(")")
	}
	return p.comparison()
}

// mirrored turns a sign round for a comparison whose literal comes first.
var mirrored = map[string]string{"=": "=", "<>": "<>", "!=": "<>", "<": ">", ">": "<", "<=": ">=", ">=": "<="}

func (p *parser) comparison() (node, error) {
	left := p.take()
	if left.kind != name || isConstant(left) {
		return p.turned(left)
	}
	property := strings.ToLower(left.text)
	if strings.Contains(property, ".") {
		return nil, fmt.Errorf("%s: properties of embedded objects are not read", left)
	}
	switch {
	case p.accept("IS"):
		is := "="
		if p.accept("NOT") {
			is = "<>"
		}
		return &comparison{property: property, sign: is, with: literal{kind: null}}, p.expect("NULL")
	case p.accept("LIKE"):
		return p.like(property)
	case p.accept("NOT"):
		if err := p.expect("LIKE"); err != nil {
			return nil, err
		}
		p.negates = true
		n, err := p.like(property)
		return negated{n}, err
	}
	sign := p.take()
	if mirrored[sign.text] == "" || sign.kind == quoted {
		return nil, fmt.Errorf("expected a comparison, not %s", sign)
	}
	with, err := p.literal(p.take())
	return &comparison{property: property, sign: mirrored[mirrored[sign.text]], with: with}, err
}

// turned reads a comparison that begins with its literal.
func (p *parser) turned(first word) (node, error) {
	with, err := p.literal(first)
	if err != nil {
		return nil, err
	}
	sign := p.take()
	property := p.take()
	if mirrored[sign.text] == "" || sign.kind == quoted || property.kind != name || isConstant(property) {
		return nil, fmt.Errorf("expected a comparison with a property, not %s", sign)
	}
	return &comparison{property: strings.ToLower(property.text), sign: mirrored[sign.text], with: with}, nil
}

func (p *parser) like(property string) (node, error) {
	w := p.take()
	if w.kind != quoted {
		return nil, fmt.Errorf("expected a quoted pattern, not %s", w)
	}
	pattern, err := newPattern(w.text)
	if err != nil {
		return nil, fmt.Errorf("pattern %s: %w", w, err)
	}
	return &likeness{property: property, pattern: pattern}, nil
}

func isConstant(w word) bool { return w.is("TRUE") || w.is("FALSE") || w.is("NULL") }

func (p *parser) literal(w word) (literal, error) {
	switch {
	case w.kind == quoted:
		return textLiteral(w.text), nil
	case w.kind == number:
		n, ok := parseNumber(w.text)
		if !ok {
			return literal{}, fmt.Errorf("%s is not a number", w)
		}
		return literal{kind: numeric, number: n, text: w.text}, nil
	case w.is("NULL"):
		return literal{kind: null}, nil
	case isConstant(w):
		return literal{kind: boolean, truth: w.is("TRUE")}, nil
	case w.kind == end:
		return literal{}, errors.New("expected a value, not the end")
	}
	return literal{}, fmt.Errorf("expected a value, not %s", w)
}
