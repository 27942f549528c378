// Package backups holds the routes of /api/v1 about backups of the site and the recovery key that opens them.
package backups

import (
	"encoding/json"
	"net/http"

	"thatch/console/api"
	"thatch/node"
	"thatch/node/backup"
	"thatch/node/identity"
	"thatch/node/tasks"
)

// Schedule is when backups are made by themselves.
type Schedule struct {
	Schedule string `json:"schedule"` // crontab line or @daily
	Enabled  bool   `json:"enabled"`
	Folder   string `json:"folder"` // absolute, on the machine of the node that leads; empty: "backups" in its data folder
	Keep     int    `json:"keep"`   // how many are left in that folder; 0: all
}

// Wanted is a backup to be made now.
type Wanted struct {
	Folder string `json:"folder"` // absolute, on the machine of the node that is asked; empty: "backups" in its data folder
}

// PublicKey is the public half of a recovery key, which the caller made and keeps.
type PublicKey struct {
	Public []byte `json:"public"` // 32 bytes, base64
}

// Routes are all of them. Bringing a site back is for the command line: no node of it runs then.
func Routes(n *node.Node) []api.Route {
	return []api.Route{
		{
			Method: "GET", Path: "/backups", Scope: identity.Viewer, Reach: api.Reach{Free: true}, Summary: "Backups on record, newest first",
			Columns: backup.Columns, Do: api.GetList(n.Backups.List),
		},
		{
			Method: "GET", Path: "/backups/standing", Scope: identity.Viewer, Reach: api.Reach{Free: true},
			Summary: "How the site would come back if it were lost now: recovery key, newest backup, schedule, and what to do",
			Do:      api.Get(func(c *api.Call) (backup.Standing, error) { return n.Backups.Standing(c.Context()) }),
		},
		{
			Method: "POST", Path: "/backups", Scope: identity.Administrator, Summary: "Make a backup now, on the machine of the node that is asked",
			Do: api.Do(func(c *api.Call, in Wanted) (api.Run, error) { return take(c, n, in) }),
		},
		{
			Method: "POST", Path: "/backups/{name}/verify", Scope: identity.Operate,
			Summary: "Read a backup whole and hold it against its digests, where it lies on the machine of the node that is asked",
			Do: api.Get(func(c *api.Call) (api.Run, error) {
				if _, err := n.Backups.Named(c.Context(), c.Var("name")); err != nil {
					return api.Run{}, err
				}
				run, err := n.Tasks.Run(c.Context(), backup.VerifyKind, map[string]string{"name": c.Var("name")})
				return api.Run{Run: run}, err
			}),
		},
		{
			Method: "PUT", Path: "/backups/schedule", Alters: "/backups/standing#schedule,folder,keep", Scope: identity.Administrator,
			Summary: "Set when backups are made by themselves, where, and how many are kept",
			Do:      api.Do(func(c *api.Call, in Schedule) (backup.Standing, error) { return plan(c, n, in) }),
		},
		{
			Method: "PUT", Path: "/backups/recovery-key", Alters: "/backups/standing#recovery_key", Scope: identity.Administrator,
			Summary: "Seal the site's keys to a recovery key, of which the site gets the public half alone, in the place of the former",
			Do: api.Do(func(c *api.Call, in PublicKey) (identity.RecoveryKey, error) {
				told, err := n.Identity.SetRecoveryKey(c.Context(), in.Public)
				if err != nil {
					return identity.RecoveryKey{}, err
				}
				return *told, nil
			}),
		},
		{
			Method: "POST", Path: "/site/node-key", Scope: identity.Administrator,
			Summary: "Give the node that is asked another key to which the site's private keys are sealed",
			Do:      api.Get(func(c *api.Call) (api.None, error) { return api.None{}, n.ChangeKey(c.Context()) }),
		},
	}
}

func take(c *api.Call, n *node.Node, in Wanted) (api.Run, error) {
	p := backup.Params{Folder: in.Folder, Here: true}
	if in.Folder != "" && !c.Who.IsLocal() {
		return api.Run{}, &api.Error{
			Status: http.StatusForbidden, Code: "forbidden",
			Text: "a folder of the node's own machine is named only through the door in its data folder (--data); without one the backup lies in the data folder",
		}
	}
	if err := p.Check(); err != nil {
		return api.Run{}, err
	}
	run, err := n.Tasks.Run(c.Context(), backup.Task, p)
	return api.Run{Run: run}, err
}

func plan(c *api.Call, n *node.Node, in Schedule) (backup.Standing, error) {
	p := backup.Params{Folder: in.Folder, Keep: in.Keep}
	if err := p.Check(); err != nil {
		return backup.Standing{}, err
	}
	text, err := json.Marshal(p)
	if err != nil {
		return backup.Standing{}, err
	}
	if _, err := n.Tasks.Change(c.Context(), tasks.Task{Name: backup.Task, Schedule: in.Schedule, Enabled: in.Enabled, Params: text}); err != nil {
		return backup.Standing{}, err
	}
	return n.Backups.Standing(c.Context())
}
