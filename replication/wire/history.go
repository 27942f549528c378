package wire

import (
	"encoding/json"
	"fmt"
	"time"

	"thatch/node/replicas/dataset"
	"thatch/node/sites"
)

// History is the run as an entry of a link's history.
func (r *RanRequest) History(neighbour string, now time.Time) (sites.LinkRun, error) {
	raw, err := json.Marshal(r.Result)
	if err != nil {
		return sites.LinkRun{}, fmt.Errorf("result of run %s: %w", r.Run, err)
	}
	direction := dataset.Down
	if r.Up {
		direction = dataset.Up
	}
	mode := string(sites.Differential)
	if r.Result.Complete {
		mode = string(sites.Complete)
	}
	return sites.LinkRun{
		ID: r.Run, Neighbour: neighbour, Direction: string(direction), Type: string(r.Type), Mode: mode,
		State: r.State, Started: r.Result.Started, Ended: now.UTC(), Result: raw, Error: r.Error,
	}, nil
}
