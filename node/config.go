package node

import (
	"log/slog"
	"net"
	"slices"
	"time"

	"thatch/catalog/document"
	"thatch/node/operators/password"
	"thatch/node/quorum"
	"thatch/node/reach"
	"thatch/node/store"
)

const defaultSite = "Site"

// Config says how a node starts. Site and Languages seed the first start only; afterwards the database rules.
type Config struct {
	Dir       string
	Listen    string   // HOST:PORT, "" reach.DefaultListen; port 0 takes a free one
	Names     []string // more host names and addresses under which the node is reached
	Name      string   // of the node; "" that of its machine
	Site      string
	Languages []string
	Version   string
	Passwords password.Cost // of operators; the zero one is password.Standard
	Schema    *store.Schema // of the database; nil: the present one of a site
	Log       *slog.Logger
	Now       func() time.Time
	Quorum    quorum.Config // how the node meets the others of its site; ID, folder, database and log are the node's own
}

func (c Config) complete() (Config, error) {
	if c.Dir == "" {
		return c, store.Invalid("a node needs a data folder")
	}
	if c.Listen == "" {
		c.Listen = reach.DefaultListen
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return c, store.Invalid("listen address %q: want HOST:PORT, such as :8743 or 127.0.0.1:0", c.Listen)
	}
	if c.Schema == nil {
		schema := store.SiteSchema()
		c.Schema = &schema
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if len(c.Site) > 200 {
		return c, store.Invalid("the site's name has %d bytes, at most 200 are allowed", len(c.Site))
	}
	languages, err := document.NormalLanguages(c.Languages)
	if err != nil {
		return c, store.Invalid("%v", err)
	}
	c.Languages = languages
	return c, nil
}

// names are the host names and addresses under which the node may be reached, for its certificate.
func (c Config) names(siteID string) []string {
	return reach.CertificateNames(c.Listen, append(slices.Clone(c.Names), siteID+".thatch.internal"))
}
