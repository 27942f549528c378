// Package all is the list of sources that this program knows.
package all

import (
	"net/http"

	"thatch/catalog/importer"
	"thatch/catalog/importer/msrc"
	"thatch/catalog/importer/sdp"
)

// Sources returns every source; those that fetch go through the client, nil being one that honours the environment's
// proxies.
func Sources(client *http.Client) []importer.Source {
	return []importer.Source{
		&msrc.Source{Client: client},
		&sdp.Source{Client: client},
	}
}
