// Package catalog holds the routes of /api/v1 about where catalogs come from, the packages that people add, and custom severities.
package catalog

import (
	"context"
	"path/filepath"
	"slices"

	"thatch/catalog/importer"
	"thatch/console/api"
	"thatch/node"
	"thatch/node/identity"
	"thatch/node/imports"
	"thatch/node/store"
	"thatch/node/tasks"
)

// Routes are all of them.
func Routes(n *node.Node) []api.Route {
	return slices.Concat(sourceRoutes(n), packageRoutes(n), severityRoutes(n))
}

func sourceRoutes(n *node.Node) []api.Route {
	return []api.Route{
		{
			Method: "POST", Path: "/catalog/imports", Scope: identity.Operate, Do: api.Do(startImport),
			Summary: "Import a source's catalog: from its own location where none is given; files and folders only through the node's data folder",
		},
		{
			Method: "GET", Path: "/catalog/sources", Scope: identity.Viewer, Reach: api.Reach{Free: true}, Summary: "Sources of catalogs",
			Do: api.Get(func(c *api.Call) (api.List[imports.Source], error) {
				all, err := n.Imports.List(c.Context())
				return api.List[imports.Source]{Items: all, Total: len(all), Page: 1, Limit: len(all)}, err
			}),
		},
		{
			Method: "PUT", Path: "/catalog/sources/{name}",
			Alters: "/catalog/sources#from,exclude,exclude_inherited,schedule,enabled", Scope: identity.Operate, Summary: "Change how a source is imported",
			Do: api.Do(func(c *api.Call, in imports.Change) (api.None, error) {
				if err := checkLocations(c, in.From...); err != nil {
					return api.None{}, err
				}
				return api.None{}, n.Imports.Change(c.Context(), c.Var("name"), in)
			}),
		},
		{
			Method: "GET", Path: "/catalog/runs", Scope: identity.Viewer, Reach: api.Reach{Free: true}, Summary: "Imports, newest first",
			Columns: tasks.RunColumns, Do: api.GetList(func(ctx context.Context, q store.Query) ([]tasks.Run, int, error) {
				q.Filter["kind"] = imports.Kind
				return n.Tasks.Runs(ctx, q)
			}),
		},
	}
}

func startImport(c *api.Call, in imports.Import) (api.Run, error) {
	if err := checkLocations(c, append([]string{in.From}, in.All...)...); err != nil {
		return api.Run{}, err
	}
	if in.From == "" && in.All == nil {
		sources, err := c.Node.Imports.List(c.Context())
		if err != nil {
			return api.Run{}, err
		}
		for _, s := range sources {
			if s.Name == in.Source {
				in.All = s.From
			}
		}
	}
	id, err := c.Node.Imports.Start(c.Context(), in)
	return api.Run{Run: id}, err
}

// checkLocations lets files and folders of the node's machine be named only by whoever may read its data folder.
func checkLocations(c *api.Call, locations ...string) error {
	for _, from := range locations {
		switch {
		case from == "" || importer.IsURL(from):
		case !c.Who.IsLocal():
			return store.Invalid("files and folders are read only for whoever comes through the node's data folder (--data on its machine); give an http or https location")
		case !filepath.IsAbs(from):
			return store.Invalid("%q is no absolute path, and no http or https location", from)
		}
	}
	return nil
}
