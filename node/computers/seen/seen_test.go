package seen

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"thatch/node/store"
)

// paper is a writer that keeps the numbers of computers that were written, or fails.
type paper struct {
	fails   error
	numbers []int64
}

func (p *paper) Write(_ context.Context, b store.Batch) (store.Applied, error) {
	if p.fails != nil {
		return store.Applied{}, p.fails
	}
	for _, s := range b.Statements {
		p.numbers = append(p.numbers, s.Args[2].(int64))
	}
	return store.Applied{}, nil
}

// What could not be written, as while the site has no leader, is written when it can be; what was is not written again.
func TestTimesThatAreNotWrittenAreDueAgain(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	to := &paper{fails: errors.New("no leader")}
	r := New(nil, to, func() time.Time { return now })
	r.At("here")
	r.Note(1, now)
	r.Note(3, now)
	if err := r.Write(t.Context()); !errors.Is(err, to.fails) {
		t.Errorf("without a leader: %v", err)
	}
	to.fails = nil
	for range 2 {
		if err := r.Write(t.Context()); err != nil || !slices.Equal(to.numbers, []int64{1, 3}) {
			t.Errorf("written: %v, %v", to.numbers, err)
		}
	}
	r.Note(1, now.Add(Step))
	if err := r.Write(t.Context()); err != nil || !slices.Equal(to.numbers, []int64{1, 3, 1}) {
		t.Errorf("a step later written: %v, %v", to.numbers, err)
	}
}
