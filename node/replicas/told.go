package replicas

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"thatch/catalog/document"
	"thatch/node/replicas/dataset"
)

// tellSettings has the room of policies know how far settings must have come for what arrives.
func (w *work) tellSettings() error {
	stating, wanted := w.room.hooks[document.Policy].(Stating)
	if !wanted || w.stated == nil || w.t != dataset.Policies {
		return nil
	}
	var policies []string
	for i := range w.entries {
		if e := &w.entries[i]; !e.Removed && !e.Held && (e.Kind == document.Policy || e.Kind == document.PolicyState) {
			policies = append(policies, e.ID)
		}
	}
	slices.Sort(policies)
	statements, err := stating.Stated(w.from.ID, *w.stated, slices.Compact(policies))
	if err != nil {
		return err
	}
	return w.builder.Add(statements...)
}

// tellPins has the room of policies know which of them pin what arrives.
func (w *work) tellPins(ctx context.Context, tx *sql.Tx) error {
	pinning, wanted := w.room.hooks[document.Policy].(Pinning)
	if !wanted {
		return nil
	}
	policies := map[string]bool{}
	for some := range slices.Chunk(w.arrived, 400) {
		err := each(ctx, tx, `SELECT DISTINCT policy FROM pin WHERE digest IN (?`+strings.Repeat(", ?", len(some)-1)+`)`, some,
			func(rows *sql.Rows) error {
				var id string
				err := rows.Scan(&id)
				policies[id] = true
				return err
			})
		if err != nil {
			return fmt.Errorf("look up who pins what arrives: %w", err)
		}
	}
	return w.builder.Add(pinning.PinsArrived(slices.Sorted(maps.Keys(policies)))...)
}
