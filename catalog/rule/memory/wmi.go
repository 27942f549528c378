package memory

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"thatch/catalog/rule"
	"thatch/catalog/rule/wql"
)

// WMI answers queries from classes that were collected, and from answers that were. Its JSON is
//
//	{"namespaces":{"root\\cimv2":{"classes":{"Win32_BIOS":[{"Manufacturer":"HP"}]},"complete":false}},
//	 "queries":[{"namespace":"root\\cimv2","query":"SELECT ...","rows":true}]}
type WMI struct {
	Namespaces map[string]*Namespace `json:"namespaces,omitempty"`
	Queries    []Answered            `json:"queries,omitempty"`
}

// Namespace is a namespace of WMI.
type Namespace struct {
	Classes map[string]Class `json:"classes,omitempty"`
	// Complete says that there are no other classes: a query of one has no rows. So {"complete":true} is a namespace
	// that the computer does not have.
	Complete bool `json:"complete,omitempty"`
}

// Answered is a query that was asked on the computer itself.
type Answered struct {
	Namespace string `json:"namespace"`
	Query     string `json:"query"`
	Rows      bool   `json:"rows"`
}

// Class holds the instances of a class: property names to values.
type Class struct {
	instances []map[string]any
	table     *wql.Table
}

// NewClass makes a class of instances; see wql.NewTable for their values.
func NewClass(instances ...map[string]any) Class {
	return Class{instances: instances, table: wql.NewTable(instances)}
}

// UnmarshalJSON reads a list of instances.
func (c *Class) UnmarshalJSON(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber() // 64-bit numbers keep their digits
	var instances []map[string]any
	if err := dec.Decode(&instances); err != nil {
		return fmt.Errorf("class of WMI: %w", err)
	}
	*c = NewClass(instances...)
	return nil
}

// MarshalJSON writes the instances.
func (c Class) MarshalJSON() ([]byte, error) {
	if c.instances == nil {
		return []byte("[]"), nil
	}
	return json.Marshal(c.instances)
}

// Query implements rule.WMI. It cannot tell what was not collected, and of a query that it cannot read.
func (w *WMI) Query(namespace, query string) (bool, error) {
	for _, a := range w.Queries {
		if strings.EqualFold(a.Namespace, namespace) && a.Query == query {
			return a.Rows, nil
		}
	}
	q, err := wql.Parse(query)
	if err != nil {
		return false, fmt.Errorf("%w: %w", rule.ErrUnknown, err)
	}
	n := lookup(w.Namespaces, namespace)
	if n == nil || *n == nil {
		return false, fmt.Errorf("%w: namespace %s was not collected", rule.ErrUnknown, namespace)
	}
	class := lookup((*n).Classes, q.Class)
	switch {
	case class == nil && (*n).Complete:
		return false, nil
	case class == nil || class.table == nil:
		return false, fmt.Errorf("%w: class %s was not collected", rule.ErrUnknown, q.Class)
	}
	rows, err := q.Has(class.table)
	if err != nil {
		return false, fmt.Errorf("%w: class %s: %w", rule.ErrUnknown, q.Class, err)
	}
	return rows, nil
}

// lookup finds a name without regard to case, nil when there is none.
func lookup[T any](in map[string]T, name string) *T {
	if v, has := in[name]; has {
		return &v
	}
	for have, v := range in {
		if strings.EqualFold(have, name) {
			return &v
		}
	}
	return nil
}
