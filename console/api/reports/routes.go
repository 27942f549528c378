// Package reports holds the routes of /api/v1 that sum up what the lists of compliance tell one by one.
package reports

import (
	"thatch/console/api"
	"thatch/node"
)

// Routes are all of them.
func Routes(n *node.Node) []api.Route {
	return []api.Route{groupRoute(n)}
}
