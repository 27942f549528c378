// Package past knows what of staging's tables is old.
package past

import "thatch/node/store/sweep"

// Failures are those of packages of which neither the catalog nor a policy has that revision any more.
func Failures() sweep.Rows {
	return sweep.Rows{
		Table: "staging_failure", Key: []string{"package", "digest"},
		Old: `NOT EXISTS (SELECT 1 FROM document d WHERE d.kind = 'package' AND d.id = staging_failure.package AND d.digest = staging_failure.digest)
AND NOT EXISTS (SELECT 1 FROM pin p WHERE p.digest = staging_failure.digest)`,
	}
}

// Holdings are those of nodes that were removed from the site.
func Holdings() sweep.Rows {
	return sweep.Rows{
		Table: "holding", Key: []string{"sha256", "node"}, Old: `EXISTS (SELECT 1 FROM node n WHERE n.id = holding.node AND n.removed <> '')`,
	}
}
