package quorum_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"thatch/node/quorum"
	"thatch/node/store/storetest"
)

// TestStorm disturbs one of three nodes after the other while they are written to: cut off, stopped, its database lost,
// the lead taken from it, snapshots at any time. At the end nothing acknowledged is lost, nothing was applied twice, and
// all databases are equal. THATCH_STORM sets for how long ("1m"), THATCH_SEED repeats the order of events.
func TestStorm(t *testing.T) {
	lasts, seed := 3*time.Second, uint64(time.Now().UnixNano())
	if text := os.Getenv("THATCH_STORM"); text != "" {
		var err error
		if lasts, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	} else if testing.Short() {
		t.Skip("short")
	}
	if text := os.Getenv("THATCH_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	t.Logf("THATCH_SEED=%d", seed)
	site := storetest.NewSite(t, 3, quorum.Tuning{TrailingBytes: 1, SnapshotBytes: 64 << 10})
	storm := &storm{site: site, random: rand.New(rand.NewPCG(seed, 2)), ends: time.Now().Add(lasts)}
	stop := make(chan struct{})
	var writing sync.WaitGroup
	for w := range 4 {
		writing.Go(func() { storm.write(t, w, stop) })
	}
	var events []string
	for time.Now().Before(storm.ends) {
		events = append(events, storm.event())
	}
	close(stop)
	writing.Wait()
	t.Logf("%d acknowledged writes, events %v", storm.acknowledged.Load(), events)
	site.Equal()
	last := write(t, site, "last")
	rows, _ := strconv.Atoi(storetest.Value(t, site, last.Index, `SELECT count(*) FROM setting WHERE name GLOB 'storm *'`))
	counted, _ := strconv.Atoi(storetest.Value(t, site, last.Index, `SELECT version FROM setting WHERE name = 'count'`))
	if acknowledged := int(storm.acknowledged.Load()); rows < acknowledged || counted != rows {
		t.Errorf("%d acknowledged, %d rows, counted %d", acknowledged, rows, counted)
	}
}

type storm struct {
	site         *storetest.Site
	random       *rand.Rand
	ends         time.Time
	acknowledged atomic.Int64
}

// write writes until it is told to stop. A write that no node can answer for is tried again with the same id.
func (s *storm) write(t *testing.T, w int, stop chan struct{}) {
	for i := 0; ; i++ {
		b := storetest.Batch(storetest.Set("count", "x"), storetest.Set(fmt.Sprintf("storm %d.%d", w, i), "1"))
		b.Request = fmt.Sprintf("storm %d.%d", w, i)
		for {
			select {
			case <-stop:
				return
			default:
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			applied, err := s.site.Write(ctx, b)
			cancel()
			if err == nil && applied.Err() == nil {
				s.acknowledged.Add(1)
				break
			}
			if err == nil || !errors.Is(err, quorum.ErrUncertain) && !errors.Is(err, quorum.ErrUnavailable) &&
				!errors.Is(err, quorum.ErrStopped) && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("write %d of writer %d: %v %v", i, w, applied, err)
				return
			}
		}
	}
}

// event disturbs one node, for a while, and lets the site recover.
func (s *storm) event() string {
	node := s.random.IntN(3)
	while := time.Duration(20+s.random.IntN(800)) * time.Millisecond
	pause := func() { <-time.After(while) }
	name := fmt.Sprint("n", node+1)
	switch s.random.IntN(6) {
	case 0:
		s.site.Cut(node, true)
		pause()
		s.site.Cut(node, false)
		s.site.Ready()
		return "cut " + name
	case 1:
		s.site.Stop(node)
		pause()
		s.site.Start(node)
		return "stop " + name
	case 2:
		s.site.Stop(node)
		s.site.LoseDatabase(node)
		pause()
		s.site.Start(node)
		return "lose " + name
	case 3:
		if err := s.site.Node(node).Quorum.Snapshot(); err != nil {
			return "no snapshot " + name
		}
		return "snapshot " + name
	case 4:
		leader := s.site.Leader()
		if err := leader.Quorum.Transfer(context.Background()); err != nil {
			return "no transfer " + leader.ID
		}
		return "transfer " + leader.ID
	default: // cut the one that leads, which goes on to believe it for a moment
		leader := number(s.site.Leader())
		s.site.Cut(leader, true)
		pause()
		s.site.Cut(leader, false)
		s.site.Ready()
		return fmt.Sprint("cut leader n", leader+1)
	}
}
