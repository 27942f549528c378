package catalog_test

import (
	"net/url"
	"testing"

	"thatch/console/page/catalog"
	"thatch/console/page/pagetest"
)

func TestEmptyCenter(t *testing.T) {
	b := pagetest.Start(t, nil, catalog.Area())
	b.Get(t, "/bulletins").Has(t, "Patch Remediation Center", "No vendor catalog has been imported yet")
	b.Language = "de"
	answer := b.Get(t, "/bulletins?severity=Critical&q=x")
	answer.Has(t, "Nichts entspricht")
	b.Post(t, "/bulletins", url.Values{"do": {"stage"}}).Has(t, "bulletin")
}
