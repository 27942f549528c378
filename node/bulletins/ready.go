package bulletins

import (
	"context"

	"thatch/node/bulletins/live"
	"thatch/node/bulletins/staging"
)

// Ready is an update that a policy can pin: every package of it that matters to the site is here.
type Ready struct {
	Update   *live.Update
	Packages []ReadyPackage
}

// ReadyPackage is a package that is here, with what staging learned of it. The digests of both are what is pinned.
type ReadyPackage struct {
	Package *live.Package
	Payload *live.Payload
}

// NotReady is an update that a policy cannot pin.
type NotReady struct {
	Update *live.Update   `json:"-"`
	Name   string         `json:"update"`
	Status staging.Status `json:"status"`
	Text   string         `json:"text,omitempty"`
	// Blocks says that no policy can be made of its bulletin before it is there. An update without a package that
	// matters, or that the vendor withdrew, is left out and holds up nothing.
	Blocks bool `json:"blocks"`
}

// ReadyUpdates tells which updates of a bulletin, by document id, a policy can pin now, and what is not there and why.
func (b *Bulletins) ReadyUpdates(ctx context.Context, bulletin string) (ready []Ready, not []NotReady, err error) {
	err = b.with(ctx, func(v *live.View, s *staging.State) error {
		found, err := find(v, bulletin)
		if err != nil {
			return err
		}
		for _, u := range v.UpdatesOf(found.ID) {
			if u.Detector {
				continue
			}
			if v.NeverOffered(found.ID) {
				not = append(not, NotReady{Update: u, Name: u.Name, Status: staging.NeverOffered, Text: "its bulletin is never offered", Blocks: true})
				continue
			}
			us := s.Update(v, u)
			if us.Status == staging.Ready {
				ready = append(ready, readyOf(us))
				continue
			}
			not = append(not, NotReady{
				Update: u, Name: u.Name, Status: us.Status, Text: us.Text,
				Blocks: us.Status != staging.NoPackage && us.Status != staging.Withdrawn,
			})
		}
		return nil
	})
	return ready, not, err
}

func readyOf(us staging.UpdateStatus) Ready {
	r := Ready{Update: us.Update}
	for _, ps := range us.Packages {
		if ps.Matters {
			r.Packages = append(r.Packages, ReadyPackage{ps.Package, ps.Payload})
		}
	}
	return r
}

// Alarms lists what calls for a person of staged bulletins: of one, by document id, or of all ("").
func (b *Bulletins) Alarms(ctx context.Context, bulletin string) (alarms []staging.Alarm, err error) {
	err = b.with(ctx, func(v *live.View, s *staging.State) error {
		alarms = s.Alarms(v, bulletin)
		return nil
	})
	return alarms, err
}
