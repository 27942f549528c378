package api

import (
	"context"

	"thatch/node"
	"thatch/node/bulletins"
	"thatch/node/bulletins/staging"
	"thatch/node/identity"
	"thatch/node/store"
)

// maxNamed is how many bulletins one request may name.
const maxNamed = 1000

// BulletinsAlter is what people change of bulletins that a request names.
const BulletinsAlter = "/staging?bulletin={bulletins}#bulletins.staged,bulletins.custom_severity,bulletins.never_offered"

// Named is a request about bulletins, by document id or by name.
type Named struct {
	Bulletins []string `json:"bulletins"`
	Severity  string   `json:"severity,omitempty"` // of an assignment: a custom severity's name or id, or "none"
}

// StageAnswer says what became of bulletins that were asked to be staged.
type StageAnswer struct {
	Bulletins []*bulletins.Row `json:"bulletins"`
	Alarms    []staging.Alarm  `json:"alarms"`        // what calls for a person, as far as it is known yet
	Run       string           `json:"run,omitempty"` // that downloads; empty: there is nothing to download
}

// Ready says what of a bulletin a policy can pin now.
type Ready struct {
	Ready    []string             `json:"ready"` // names of updates
	NotReady []bulletins.NotReady `json:"not_ready"`
	Complete bool                 `json:"complete"` // a policy can be made
}

func bulletinRoutes(n *node.Node) []Route {
	return []Route{
		{
			Method: "GET", Path: "/bulletins", Scope: identity.Viewer, Reach: Reach{Whole: true}, Summary: "Bulletins, newest first",
			Columns: bulletins.Columns(), Do: GetList(n.Bulletins.List),
		},
		{
			Method: "GET", Path: "/bulletin-groups", Scope: identity.Viewer, Reach: Reach{Whole: true}, Summary: "Bulletins counted by the values of a column",
			Columns: bulletins.Columns(), Query: []Param{{"by", "string", "column to group by"}}, Needs: []string{"by"}, Do: Get(bulletinGroups),
		},
		{
			Method: "GET", Path: "/bulletins/{id}", Scope: identity.Viewer, Reach: Reach{Whole: true}, Summary: "A bulletin with its updates and vulnerabilities",
			Do: Get(func(c *Call) (bulletins.Detail, error) { return n.Bulletins.Show(c.Context(), c.Var("id")) }),
		},
		{
			Method: "GET", Path: "/bulletins/{id}/ready", Scope: identity.Viewer, Reach: Reach{Free: true}, Summary: "What of a bulletin a policy can pin now",
			Do: Get(bulletinReady),
		},
		{
			Method: "GET", Path: "/cves", Scope: identity.Viewer, Reach: Reach{Whole: true}, Summary: "Vulnerabilities that bulletins fix",
			Columns: bulletins.CVEColumns(), Do: GetList(n.Bulletins.CVEs),
		},
	}
}

func stagingRoutes(n *node.Node) []Route {
	return []Route{
		{
			Method: "POST", Path: "/bulletins/stage",
			Alters: BulletinsAlter, Scope: identity.Operate, Do: Do(stage),
			Summary: "Stage bulletins: download every package that is neutral or in a managed language; what failed is tried again",
		},
		{
			Method: "POST", Path: "/bulletins/unstage",
			Alters: BulletinsAlter, Scope: identity.Operate, Summary: "Stage bulletins no longer",
			Do: Do(func(c *Call, in Named) (StageAnswer, error) {
				ids, err := find(c, in.Bulletins)
				if err == nil {
					err = n.Staging.Unstage(c.Context(), ids...)
				}
				if err != nil {
					return StageAnswer{}, err
				}
				return staged(c, ids)
			}),
		},
		{
			Method: "POST", Path: "/bulletins/severity",
			Alters: BulletinsAlter, Scope: identity.Operate, Summary: "Give bulletins a custom severity, or take it away",
			Do: Do(func(c *Call, in Named) (StageAnswer, error) {
				ids, err := find(c, in.Bulletins)
				if err == nil {
					err = n.Bulletins.AssignSeverity(c.Context(), in.Severity, ids...)
				}
				if err != nil {
					return StageAnswer{}, err
				}
				return staged(c, ids)
			}),
		},
		{
			Method: "GET", Path: "/staging", Scope: identity.Viewer, Reach: Reach{Free: true}, Summary: "How bulletins stand",
			Query: []Param{{"bulletin", "string", "id or name; may be repeated"}}, Needs: []string{"bulletin"},
			Do: Get(func(c *Call) (StageAnswer, error) {
				ids, err := find(c, c.r.URL.Query()["bulletin"])
				if err != nil {
					return StageAnswer{}, err
				}
				return staged(c, ids)
			}),
		},
		{
			Method: "GET", Path: "/staging/alarms", Scope: identity.Viewer, Reach: Reach{Free: true}, Summary: "What of staged bulletins calls for a person",
			Do: Get(func(c *Call) (List[staging.Alarm], error) {
				all, err := n.Bulletins.Alarms(c.Context(), "")
				return List[staging.Alarm]{Items: all, Total: len(all), Page: 1, Limit: len(all)}, err
			}),
		},
	}
}

func bulletinGroups(c *Call) (List[store.Group], error) {
	q, err := c.List()
	if err != nil {
		return List[store.Group]{}, err
	}
	groups, err := c.Node.Bulletins.Groups(c.Context(), q, c.Arg("by"))
	return List[store.Group]{Items: groups, Total: len(groups), Page: 1, Limit: len(groups)}, err
}

func bulletinReady(c *Call) (Ready, error) {
	ready, not, err := c.Node.Bulletins.ReadyUpdates(c.Context(), c.Var("id"))
	answer := Ready{Ready: []string{}, NotReady: []bulletins.NotReady{}, Complete: len(ready) > 0}
	for _, r := range ready {
		answer.Ready = append(answer.Ready, r.Update.Name)
	}
	for _, n := range not {
		answer.NotReady = append(answer.NotReady, n)
		answer.Complete = answer.Complete && !n.Blocks
	}
	return answer, err
}

func stage(c *Call, in Named) (StageAnswer, error) {
	ids, err := find(c, in.Bulletins)
	if err == nil {
		err = c.Node.Staging.Stage(c.Context(), ids...)
	}
	if err != nil {
		return StageAnswer{}, err
	}
	run, err := c.Node.StartStaging(c.Context())
	if err != nil {
		return StageAnswer{}, err
	}
	answer, err := staged(c, ids)
	answer.Run = run
	return answer, err
}

// find turns names into document ids.
func find(c *Call, names []string) ([]string, error) {
	if len(names) == 0 || len(names) > maxNamed {
		return nil, store.Invalid("name 1 to %d bulletins; the request names %d", maxNamed, len(names))
	}
	ids := make([]string, 0, len(names))
	for _, name := range names {
		id, err := c.Node.Bulletins.Find(c.Context(), name)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// staged tells how bulletins stand after a change, which the answer must show.
func staged(c *Call, ids []string) (StageAnswer, error) {
	ctx := after(c)
	answer := StageAnswer{Alarms: []staging.Alarm{}}
	var err error
	if answer.Bulletins, err = c.Node.Bulletins.Rows(ctx, ids...); err != nil {
		return answer, err
	}
	for _, id := range ids {
		alarms, err := c.Node.Bulletins.Alarms(ctx, id)
		if err != nil {
			return answer, err
		}
		answer.Alarms = append(answer.Alarms, alarms...)
	}
	return answer, nil
}

// after is the context of a call for reads that must see what the call itself wrote.
func after(c *Call) context.Context { return store.AtLeast(c.Context(), c.caller.Index()) }
