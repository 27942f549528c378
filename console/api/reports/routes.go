// Package reports holds the routes of /api/v1 that sum up what the lists of compliance and of attempts tell one by one.
package reports

import (
	"thatch/console/api"
	"thatch/node"
)

// Routes are all of them.
func Routes(n *node.Node) []api.Route {
	return append(append(complianceRoutes(n), deliveryRoutes(n)...), groupRoute(n), summaryRoute(n), supersededRoute(n))
}
