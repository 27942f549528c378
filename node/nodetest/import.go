package nodetest

import (
	"context"
	"encoding/json"
	"testing"

	"thatch/node"
	"thatch/node/imports"
	"thatch/node/tasks"
)

// Import runs an import at a node to its end, and is the run with its result.
func Import(t testing.TB, n *node.Node, what imports.Import) (tasks.Run, imports.Imported) {
	t.Helper()
	id, err := n.Imports.Start(context.Background(), what)
	if err != nil {
		t.Fatal(err)
	}
	run, err := n.Tasks.Wait(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	var done imports.Imported
	if len(run.Result) > 0 {
		if err := json.Unmarshal(run.Result, &done); err != nil {
			t.Fatal(err)
		}
	}
	return run, done
}
