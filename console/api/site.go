package api

import (
	"net/http"
	"slices"

	"thatch/catalog/document"
	"thatch/node"
	"thatch/node/identity"
)

// Languages are the managed languages of the site.
type Languages struct {
	Languages []string `json:"languages"` // lower-case BCP 47, sorted
}

// LanguagesSet replaces the managed languages.
type LanguagesSet struct {
	Languages []string `json:"languages"`
	Force     bool     `json:"force,omitempty"` // also those that sites below manage are dropped
}

// LanguagesChange adds to the managed languages and takes from them.
type LanguagesChange struct {
	Add    []string `json:"add,omitempty"`
	Remove []string `json:"remove,omitempty"`
	Force  bool     `json:"force,omitempty"` // also those that sites below manage are dropped
}

// SiteName is what the site is called.
type SiteName struct {
	Name string `json:"name"`
}

func siteRoutes(n *node.Node) []Route {
	return []Route{
		{
			Method: "GET", Path: "/site", Scope: identity.Viewer, Reach: Reach{Free: true}, Summary: "The site and this node",
			Do: Get(func(c *Call) (node.Status, error) { return n.Status(c.Context()) }),
		},
		{
			Method: "GET", Path: "/site/languages", Scope: identity.Viewer, Reach: Reach{Free: true}, Summary: "The managed languages",
			Do: Get(func(c *Call) (Languages, error) {
				tags, err := n.Languages(c.Context())
				return Languages{tags}, err
			}),
		},
		{
			Method: "PUT", Path: "/site/languages",
			Alters: "/site/languages", Scope: identity.Administrator,
			Summary: "Set the managed languages; one that sites below manage is dropped only by force",
			Do: Do(func(c *Call, in LanguagesSet) (Languages, error) {
				tags, err := document.NormalLanguages(in.Languages)
				if err != nil {
					return Languages{}, &Error{Status: http.StatusBadRequest, Code: "invalid", Text: err.Error()}
				}
				former, err := n.Languages(c.Context())
				if err != nil {
					return Languages{}, err
				}
				dropped := slices.DeleteFunc(former, func(tag string) bool { return slices.Contains(tags, tag) })
				tags, err = n.ChangeLanguages(c.Context(), tags, dropped, in.Force)
				return Languages{tags}, err
			}),
		},
		{
			Method: "POST", Path: "/site/languages",
			Alters: "/site/languages", Scope: identity.Administrator,
			Summary: "Manage more languages, or fewer; one that sites below manage is dropped only by force",
			Do: Do(func(c *Call, in LanguagesChange) (Languages, error) {
				tags, err := n.ChangeLanguages(c.Context(), in.Add, in.Remove, in.Force)
				return Languages{tags}, err
			}),
		},
		{
			Method: "PUT", Path: "/site/name",
			Alters: "/site#site", Scope: identity.Administrator, Summary: "Rename the site",
			Do: Do(func(c *Call, in SiteName) (SiteName, error) { return in, n.Rename(c.Context(), in.Name) }),
		},
	}
}
