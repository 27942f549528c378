package api

import (
	"context"
	"path/filepath"

	"thatch/catalog/importer"
	"thatch/node"
	"thatch/node/identity"
	"thatch/node/store"
	"thatch/node/tasks"
)

func catalogRoutes(n *node.Node) []Route {
	return []Route{
		{
			Method: "POST", Path: "/catalog/imports", Scope: identity.Operate, Do: Do(startImport),
			Summary: "Import a source's catalog: from its own location where none is given; files and folders only through the node's data folder",
		},
		{
			Method: "GET", Path: "/catalog/sources", Scope: identity.Viewer, Reach: Reach{Free: true}, Summary: "Sources of catalogs",
			Do: Get(func(c *Call) (List[node.Source], error) {
				all, err := n.Sources(c.Context())
				return List[node.Source]{Items: all, Total: len(all), Page: 1, Limit: len(all)}, err
			}),
		},
		{
			Method: "PUT", Path: "/catalog/sources/{name}",
			Alters: "/catalog/sources#from,exclude,exclude_inherited,schedule,enabled", Scope: identity.Operate, Summary: "Change how a source is imported",
			Do: Do(func(c *Call, in node.SourceChange) (None, error) {
				if err := checkLocations(c, in.From...); err != nil {
					return None{}, err
				}
				return None{}, n.ChangeSource(c.Context(), c.Var("name"), in)
			}),
		},
		{
			Method: "GET", Path: "/catalog/runs", Scope: identity.Viewer, Reach: Reach{Free: true}, Summary: "Imports, newest first",
			Columns: tasks.RunColumns, Do: GetList(func(ctx context.Context, q store.Query) ([]tasks.Run, int, error) {
				q.Filter["kind"] = node.ImportKind
				return n.Tasks.Runs(ctx, q)
			}),
		},
	}
}

func startImport(c *Call, in node.Import) (Run, error) {
	if err := checkLocations(c, append([]string{in.From}, in.All...)...); err != nil {
		return Run{}, err
	}
	if in.From == "" && in.All == nil {
		sources, err := c.Node.Sources(c.Context())
		if err != nil {
			return Run{}, err
		}
		for _, s := range sources {
			if s.Name == in.Source {
				in.All = s.From
			}
		}
	}
	id, err := c.Node.StartImport(c.Context(), in)
	return Run{id}, err
}

// checkLocations lets files and folders of the node's machine be named only by whoever may read its data folder.
func checkLocations(c *Call, locations ...string) error {
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
