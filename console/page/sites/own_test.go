package sites_test

import (
	"net/http"
	"regexp"
	"testing"

	"thatch/node/identity"
)

func TestThisSite(t *testing.T) {
	s := start(t, "Bern", "en")
	s.Get(t, "/site").Has(t, "Bern", "this node", "leader", "free of", "Certificate ends", "No tool has a token", "holds no payload files yet", identity.Fingerprint(s.Identity.Authority()))
	s.Post(t, "/site", form("do", "rename", "name", "")).Has(t, `role="alert"`)
	s.Post(t, "/site", form("do", "rename", "name", "Bern <b>")).Has(t, "The site is called Bern &lt;b&gt; now")
	s.Post(t, "/site", form("do", "language", "tag", "it")).Has(t, "manages it now")
	s.Post(t, "/site", form("do", "drop")).Has(t, "Choose the languages to drop")
	s.Post(t, "/site", form("do", "drop", "tag", "it")).Has(t, "1 language is managed no more")
	if run := ended(t, s, s.Send(t, "/site", form("do", "verify"))); run.State != "done" {
		t.Errorf("the check of the payloads is %s: %s", run.State, run.Error)
	}
	s.Operator.Scope = identity.Viewer
	lacks(t, s.Get(t, "/site"), "API tokens", `<button name="do"`, `value="rename"`)
	for _, do := range []string{"rename", "language", "drop", "token", "revoke", "verify"} {
		if got := s.Send(t, "/site", form("do", do)); got.Status != http.StatusForbidden {
			t.Errorf("%s by a viewer answers %d", do, got.Status)
		}
	}
	s.Language = "de"
	s.Get(t, "/site").Has(t, "dieser Knoten", "frei von")
}

func TestAPITokens(t *testing.T) {
	s := start(t, "Bern", "en")
	s.Post(t, "/site", form("do", "token", "name", "ci", "scope", "viewer", "days", "-1")).Has(t, "is no number of days")
	s.Post(t, "/site", form("do", "token", "name", "ci", "scope", "king", "days", "1")).Has(t, `role="alert"`)
	made := s.Post(t, "/site", form("do", "token", "name", "ci <i>", "scope", "viewer", "days", "30"))
	made.Has(t, "shown now and never again", "thatch site show --server https://127.0.0.1:")
	token := regexp.MustCompile(`id="secret">([^<]+)<`).FindStringSubmatch(made.Body)[1]
	if who, err := s.Identity.Operator(t.Context(), token); err != nil || who.Scope != identity.Viewer {
		t.Errorf("the token opens as %+v: %v", who, err)
	}
	listed := s.Get(t, "/site")
	listed.Has(t, "ci &lt;i&gt;")
	lacks(t, listed, token)
	id := regexp.MustCompile(`name="id" value="([^"]+)"`).FindStringSubmatch(listed.Body)[1]
	s.Post(t, "/site", form("do", "revoke", "id", id)).Has(t, "it opens nothing any more")
	if _, err := s.Identity.Operator(t.Context(), token); err == nil {
		t.Error("a token that is revoked opens the API")
	}
}

// TestALanguageThatASiteBelowManagesIsDroppedOnlyByInsisting: the refusal names the site, and the page then offers to insist.
func TestALanguageThatASiteBelowManagesIsDroppedOnlyByInsisting(t *testing.T) {
	parent, _ := family(t)
	lacks(t, parent.Get(t, "/site"), "although sites below")
	refused := parent.Post(t, "/site", form("do", "drop", "tag", "en"))
	refused.Has(t, `role="alert"`, "Wien", "drop it although sites below manage it")
	parent.Post(t, "/site", form("do", "drop", "tag", "en", "force", "yes")).Has(t, "1 language is managed no more")
}
