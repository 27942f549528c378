package storetest_test

import (
	"testing"

	"thatch/node/quorum"
	"thatch/node/store/storetest"
)

func TestStoreAlone(t *testing.T) {
	storetest.Suite(t, func(t *testing.T) storetest.Subject {
		db := storetest.Open(t)
		return storetest.Subject{Writer: db, Reader: db}
	})
}

func TestOneVoter(t *testing.T) {
	storetest.Suite(t, func(t *testing.T) storetest.Subject {
		site := storetest.One(t)
		return storetest.Subject{Writer: site, Reader: site, Disturb: func() {
			site.Stop(0)
			site.Start(0)
		}}
	})
}

func TestThreeVoters(t *testing.T) {
	storetest.Suite(t, func(t *testing.T) storetest.Subject {
		site := storetest.Three(t)
		return storetest.Subject{Writer: site, Reader: site, Equal: site.Equal}
	})
}

// Between the parts of the suite one node after the other loses its database, or all it has, and comes back from its
// own snapshot or that of the leader, while the site is written to.
func TestThreeVotersOfWhichOneRestarts(t *testing.T) {
	storetest.Suite(t, func(t *testing.T) storetest.Subject {
		site := storetest.NewSite(t, 3, quorum.Tuning{TrailingBytes: 1})
		round := 0
		disturb := func() {
			lost := round % 3
			site.Snapshot()
			site.Stop(lost)
			if round%2 == 0 {
				site.LoseDatabase(lost)
			} else {
				site.LoseEverything(lost)
			}
			for i := range 40 {
				storetest.Write(t, site, storetest.Batch(storetest.Set("meanwhile", string(rune('a'+i)))))
			}
			site.Snapshot()
			site.Start(lost)
			site.Equal()
			round++
		}
		return storetest.Subject{Writer: site, Reader: site, Disturb: disturb, Equal: site.Equal}
	})
}
