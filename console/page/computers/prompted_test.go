package computers_test

import (
	"net/url"
	"testing"

	"thatch/node/identity"
)

func TestAskComputersNow(t *testing.T) {
	b, ids := site(t)
	b.Get(t, "/computers/prompts").Has(t, "Nothing has been asked yet", "Ask a group, or all computers")
	lacks(t, b.Get(t, "/computers/"+ids[0]), "Ask no more")
	// The agents of the fixture said no protocol.
	b.Post(t, "/computers", url.Values{"do": {"scan"}, "key": ids[:2], "group": {"of the other button"}}).
		Has(t, "2 computers are asked.", "The agents of 2 are of a version", "Asked now 2")
	b.Post(t, "/computers", url.Values{"do": {"cycle"}, "group": {"berlin"}}).Has(t, "Choose at least one computer.")
	b.Get(t, "/computers/prompts").Has(t, "pc-1", "pc-2", "asked", "1 to 2 of 2", "yes")
	b.Post(t, "/computers/prompts", url.Values{"do": {"scan"}, "of": {"berlin"}}).Has(t, "2 were asked before, which stands.")
	b.Post(t, "/computers/prompts", url.Values{"do": {"cycle"}, "all": {"yes"}}).Has(t, "3 computers are asked.")
	answer := b.Get(t, "/computers/"+ids[2])
	answer.Has(t, "Ask no more", "cycle", "asked", `data-refresh="5"`, "The agent&#39;s version does not know of this", "nothing is installed outside of them")
	lacks(t, answer, hostile)
	b.Post(t, "/computers/"+ids[2], url.Values{"do": {"cancel"}}).Has(t, "1 computer is asked no more.", "cancelled")
	b.Post(t, "/computers/prompts", url.Values{"do": {"cancel"}, "key": ids[:1]}).Has(t, "1 computer is asked no more.")
	b.Get(t, "/computers/prompts?state=asked,told").Has(t, "1 to 1 of 1", "pc-2")
	b.Post(t, "/computers/"+ids[2], url.Values{"do": {"scan"}}).Has(t, "1 computer is asked.")
	b.Language = "de"
	b.Get(t, "/computers/"+ids[2]).Has(t, "Untersuchung", "aufgefordert", "Zyklus starten")
	b.Get(t, "/computers/prompts").Has(t, "Eine Gruppe oder alle Computer auffordern")
	b.Language = ""
	b.Operator.Scope = identity.Viewer
	for _, path := range []string{"/computers", "/computers/prompts", "/computers/" + ids[2]} {
		lacks(t, b.Get(t, path), `name="do" value="scan"`, `name="do" value="cycle"`, `name="do" value="cancel"`)
		for _, do := range []string{"scan", "cycle", "cancel"} {
			if answer := b.Post(t, path, url.Values{"do": {do}, "key": {ids[0]}}); answer.Status != 403 {
				t.Errorf("%s: a viewer may %s: %d", path, do, answer.Status)
			}
		}
	}
}
