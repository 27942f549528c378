package console

import (
	"slices"

	"thatch/console/api"
	"thatch/console/api/backups"
	"thatch/console/api/catalog"
	"thatch/console/api/evaluation"
	"thatch/console/api/families"
	"thatch/console/api/hierarchy"
	"thatch/console/api/hints"
	"thatch/console/api/nodes"
	"thatch/console/api/offers"
	"thatch/console/api/operators"
	"thatch/console/api/overview"
	"thatch/console/api/payloads"
	"thatch/console/api/policies"
	"thatch/console/api/prompts"
	"thatch/console/api/reports"
	"thatch/console/api/tree"
	"thatch/console/api/uploads"
	"thatch/console/api/vulnerabilities"
	"thatch/console/api/why"
	"thatch/node"
)

// Routes are those of the API beside its core, but for those about the wire to other sites (console/api/links).
func Routes(n *node.Node) []api.Route {
	return slices.Concat(
		catalog.Routes(n),
		hierarchy.Routes(n),
		payloads.Routes(n),
		reports.Routes(n),
		why.Routes(n),
		operators.Routes(n),
		policies.Routes(n),
		tree.Routes(n),
		nodes.Routes(n),
		families.Routes(n),
		overview.Routes(n),
		vulnerabilities.Routes(n),
		offers.Routes(n),
		uploads.Routes(n),
		evaluation.Routes(n),
		prompts.Routes(n),
		hints.Routes(n),
		backups.Routes(n),
	)
}
