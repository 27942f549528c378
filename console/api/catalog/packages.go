package catalog

import (
	"fmt"
	"os"
	"path/filepath"

	"thatch/catalog"
	"thatch/console/api"
	"thatch/node"
	"thatch/node/bulletins"
	"thatch/node/identity"
	"thatch/node/store"
)

// PackageRequest adds a package by hand.
type PackageRequest struct {
	bulletins.NewPackage
	// Paths are files on the node's own machine that become files of the package; they are taken only from whoever
	// comes through the door in the data folder.
	Paths []string `json:"paths,omitempty"`
}

// NewSeverity makes a custom severity.
type NewSeverity struct {
	Name  string `json:"name"`
	Order *int   `json:"order,omitempty"` // higher is more severe; absent: above all others
}

// SeverityChange renames a custom severity or gives it another place.
type SeverityChange struct {
	Name    *string `json:"name,omitempty"`
	Order   *int    `json:"order,omitempty"`
	Version string  `json:"version,omitempty"` // that the change was made from; absent: any
}

func packageRoutes(n *node.Node) []api.Route {
	return []api.Route{
		{
			Method: "GET", Path: "/updates", Scope: identity.Viewer, Reach: api.Reach{Whole: true}, Summary: "Updates, by number",
			Columns: bulletins.UpdateColumns(), Do: api.GetList(n.Bulletins.Updates),
		},
		{
			Method: "GET", Path: "/updates/{id}", Scope: identity.Viewer, Reach: api.Reach{Whole: true}, Summary: "An update with its rules, packages and supersedence",
			Do: api.Get(func(c *api.Call) (bulletins.UpdateDetail, error) {
				return n.Bulletins.ShowUpdate(c.Context(), c.Var("id"))
			}),
		},
		{
			Method: "GET", Path: "/packages", Scope: identity.Viewer, Reach: api.Reach{Free: true}, Summary: "Packages of updates",
			Columns: bulletins.PackageColumns(), Do: api.GetList(n.Bulletins.Packages),
		},
		{
			Method: "GET", Path: "/packages/{id}", Scope: identity.Viewer, Reach: api.Reach{Free: true}, Summary: "A package with its files",
			Do: api.Get(func(c *api.Call) (bulletins.PackageDetail, error) {
				return n.Bulletins.ShowPackage(c.Context(), c.Var("id"))
			}),
		},
		{
			Method: "POST", Path: "/packages",
			Alters: "/packages/{id}#-version", Scope: identity.Operate, Summary: "Add a package to an update by hand",
			Do: api.Do(addPackage),
		},
		{
			Method: "DELETE", Path: "/packages/{id}",
			Alters: "/packages/{id}#-version", Scope: identity.Operate, Summary: "Remove a package that was added by hand",
			Query: []api.Param{{Name: "version", Type: "string", Text: "that the removal was decided from; absent: any"}},
			Do: api.Get(func(c *api.Call) (api.None, error) {
				return api.None{}, n.Bulletins.RemovePackage(c.Context(), c.Var("id"), c.Arg("version"))
			}),
		},
	}
}

func severityRoutes(n *node.Node) []api.Route {
	return []api.Route{
		{
			Method: "GET", Path: "/severities", Scope: identity.Viewer, Reach: api.Reach{Free: true}, Summary: "Custom severities, most severe first",
			Columns: bulletins.SeverityColumns(), Do: api.GetList(n.Bulletins.Severities),
		},
		{
			Method: "POST", Path: "/severities",
			Alters: "/severities#severity,order", Scope: identity.Operate, Summary: "Make a custom severity",
			Do: api.Do(func(c *api.Call, in NewSeverity) (api.Made, error) {
				id, err := n.Bulletins.CreateSeverity(c.Context(), in.Name, in.Order)
				return api.Made{ID: id}, err
			}),
		},
		{
			Method: "PUT", Path: "/severities/{id}",
			Alters: "/severities#severity,order", Scope: identity.Operate, Summary: "Rename a custom severity, or give it another place",
			Do: api.Do(func(c *api.Call, in SeverityChange) (api.None, error) {
				return api.None{}, n.Bulletins.ChangeSeverity(c.Context(), c.Var("id"), in.Version, in.Name, in.Order)
			}),
		},
		{
			Method: "DELETE", Path: "/severities/{id}",
			Alters: "/severities#severity,order", Scope: identity.Operate, Summary: "Delete a custom severity",
			Query: []api.Param{
				{Name: "version", Type: "string", Text: "that the removal was decided from; absent: any"},
				{Name: "reassign", Type: "string", Text: "custom severity for the bulletins that have it, or none; absent: refused where any has it"},
			},
			Do: api.Get(func(c *api.Call) (api.None, error) {
				return api.None{}, n.Bulletins.DeleteSeverity(c.Context(), c.Var("id"), c.Arg("version"), c.Arg("reassign"))
			}),
		},
	}
}

func addPackage(c *api.Call, in PackageRequest) (api.Made, error) {
	if len(in.Paths) > 0 {
		if !c.Who.IsLocal() {
			return api.Made{}, store.Invalid("files are taken only from the node's own machine, through its data folder (--data); give an address and a digest instead")
		}
		for _, path := range in.Paths {
			file, err := takeIn(c, path)
			if err != nil {
				return api.Made{}, err
			}
			in.Files = append(in.Files, file)
		}
	}
	id, err := c.Node.Bulletins.AddPackage(c.Context(), in.NewPackage, c.Node.Content.Has)
	c.Node.Copies.Look() // what was taken in here is to be at other nodes too
	return api.Made{ID: id}, err
}

// takeIn puts a file of this machine into the payload store.
func takeIn(c *api.Call, path string) (catalog.File, error) {
	if !filepath.IsAbs(path) {
		return catalog.File{}, store.Invalid("%s is no absolute path", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return catalog.File{}, store.Invalid("%v", err)
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return catalog.File{}, store.Invalid("%s is no file", path)
	}
	info, err := c.Node.Content.Put(c.Context(), "", file)
	if err != nil {
		return catalog.File{}, fmt.Errorf("take in %s: %w", path, err)
	}
	return catalog.File{Name: filepath.Base(path), Size: info.Size, SHA256: info.SHA256}, nil
}
