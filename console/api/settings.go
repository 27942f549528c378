package api

import (
	"encoding/json"

	"thatch/node"
	"thatch/node/identity"
	"thatch/node/settings"
)

// SettingChange sets a setting.
type SettingChange struct {
	Value   json.RawMessage `json:"value"`             // null: its default again
	Version *int            `json:"version,omitempty"` // that the change was made from; absent: any
}

func settingRoutes(n *node.Node) []Route {
	return []Route{
		{
			Method: "GET", Path: "/settings", Scope: identity.Viewer, Reach: Reach{Free: true}, Summary: "Settings of the site",
			Do: Get(func(c *Call) (List[settings.Entry], error) {
				all, err := n.Settings.List(c.Context())
				return List[settings.Entry]{Items: all, Total: len(all), Page: 1, Limit: len(all)}, err
			}),
		},
		{
			Method: "GET", Path: "/settings/{name}", Scope: identity.Viewer, Reach: Reach{Free: true}, Summary: "One setting",
			Do: Get(func(c *Call) (settings.Entry, error) { return n.Settings.Get(c.Context(), c.Var("name")) }),
		},
		{
			Method: "PUT", Path: "/settings/{name}",
			Alters: "/settings/{name}#value,set", Scope: identity.Administrator, Summary: "Set a setting",
			Do: Do(func(c *Call, in SettingChange) (settings.Entry, error) {
				version := -1
				if in.Version != nil {
					version = *in.Version
				}
				return n.Settings.Set(c.Context(), c.Var("name"), in.Value, version)
			}),
		},
	}
}
