package wql

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// Table holds the collected instances of one class.
type Table struct {
	rows []map[string]literal
	// columns are the texts of one property of all rows in lower case, each ended by a character that no text has.
	columns map[string]string
}

// literal is a value of a property or of a query.
type literal struct {
	kind   literalKind
	text   string
	lower  string
	number *big.Rat // of numeric
	truth  bool     // of boolean
}

type literalKind int

const (
	null literalKind = iota
	text
	numeric
	boolean
	other // arrays and objects, with which nothing compares
)

// separator ends each text of a column. It is no character of UTF-8, so no pattern contains it.
const separator = "\xff"

// NewTable takes instances as encoding/json decodes them: property names to strings, numbers (float64 or
// json.Number), booleans, nil, or anything else, which is kept as incomparable. Names are compared without regard to
// case.
func NewTable(instances []map[string]any) *Table {
	t := &Table{columns: map[string]string{}}
	columns := map[string]*strings.Builder{}
	for _, instance := range instances {
		row := make(map[string]literal, len(instance))
		for property, value := range instance {
			v := newLiteral(value)
			property = strings.ToLower(property)
			row[property] = v
			if v.kind == text {
				if columns[property] == nil {
					columns[property] = &strings.Builder{}
				}
				columns[property].WriteString(v.lower + separator)
			}
		}
		t.rows = append(t.rows, row)
	}
	for property, column := range columns {
		if t.wholly(property, text) {
			t.columns[property] = column.String()
		}
	}
	return t
}

// wholly says whether a property has values of one kind in all rows.
func (t *Table) wholly(property string, kind literalKind) bool {
	for _, row := range t.rows {
		if v, has := row[property]; !has || v.kind != kind {
			return false
		}
	}
	return true
}

func newLiteral(value any) literal {
	switch v := value.(type) {
	case nil:
		return literal{kind: null}
	case string:
		return textLiteral(v)
	case bool:
		return literal{kind: boolean, truth: v}
	case float64:
		return numberLiteral(strconv.FormatFloat(v, 'g', -1, 64))
	case json.Number:
		return numberLiteral(v.String())
	case int:
		return numberLiteral(strconv.Itoa(v))
	}
	return literal{kind: other}
}

func textLiteral(v string) literal {
	v = strings.ToValidUTF8(v, "\uFFFD")
	return literal{kind: text, text: v, lower: strings.ToLower(v)}
}

func numberLiteral(v string) literal {
	n, ok := parseNumber(v)
	if !ok {
		return literal{kind: other}
	}
	return literal{kind: numeric, number: n, text: v}
}

// parseNumber reads decimal numbers, and whole ones in hexadecimal after 0x. Sizes are bounded: exponents may be
// written that no memory holds.
func parseNumber(v string) (*big.Rat, bool) {
	v = strings.TrimSpace(v)
	if len(v) > 100 {
		return nil, false
	}
	if hex, found := strings.CutPrefix(strings.ToLower(v), "0x"); found {
		n, err := strconv.ParseUint(hex, 16, 64)
		return new(big.Rat).SetUint64(n), err == nil
	}
	if strings.IndexFunc(v, func(r rune) bool { return !strings.ContainsRune("0123456789.-+eE", r) }) >= 0 {
		return nil, false
	}
	if i := strings.IndexAny(v, "eE"); i >= 0 {
		if exponent, err := strconv.Atoi(v[i+1:]); err != nil || exponent > 400 || exponent < -400 {
			return nil, false
		}
	}
	return new(big.Rat).SetString(v)
}

// Has says whether any row of the table satisfies the query. The error says why that cannot be told: a property that
// was not collected, or values that do not compare.
func (q *Query) Has(t *Table) (bool, error) {
	if q.where == nil {
		return len(t.rows) > 0, nil
	}
	return hasAny(q.where, t, q.negates)
}

// hasAny asks the alternatives one by one, each of all rows: a row satisfies A OR B when one satisfies A, or one B.
func hasAny(where node, t *Table, negates bool) (has bool, err error) {
	if alternatives, ok := where.(anyOf); ok {
		for _, alternative := range alternatives {
			found, failed := hasAny(alternative, t, negates)
			if found {
				return true, nil
			}
			if failed != nil && err == nil {
				err = failed
			}
		}
		return false, err
	}
	if like, ok := where.(*likeness); ok && like.pattern.within {
		if column, whole := t.columns[like.property]; whole {
			return like.pattern.isWithin(column), nil
		}
	}
	for _, row := range t.rows {
		v := where.of(row)
		switch {
		case v.is == yes:
			return true, nil
		case v.is == untold && err == nil:
			err = v.why
		case v.is == isNull && negates && err == nil:
			err = fmt.Errorf("a property is null under NOT")
		}
	}
	return false, err
}
