package vulnerabilities_test

import (
	"errors"
	"net/http"
	"net/url"
	"testing"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/rule"
	"thatch/console/api"
	"thatch/console/api/apitest"
	"thatch/console/api/client"
	"thatch/console/api/vulnerabilities"
	"thatch/node/bulletins"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/computers/compliance"
	"thatch/node/nodetest"
)

func TestOneVulnerability(t *testing.T) {
	n := nodetest.New(t)
	nodetest.Run(t, n, map[string]http.Handler{"/": api.New(n, vulnerabilities.Routes(n)...)})
	c := apitest.Local(t, n)
	bulletin := func(id string, cve catalog.CVE) document.Document {
		return bulletinstest.Doc(t, document.Bulletin, id, nil, catalog.Bulletin{Name: "name of " + id, Source: "msrc", CVEs: []catalog.CVE{cve}})
	}
	update := func(id, of string, cves ...string) document.Document {
		return bulletinstest.Doc(t, document.Update, id, nil, catalog.Update{Name: id, Bulletin: of, Source: "msrc", CVEs: cves, Rules: catalog.Rules{Applicable: rule.Test("True")}})
	}
	bulletinstest.Save(t, n.Bulletins, "msrc", "f",
		bulletin("a", catalog.CVE{ID: "CVE-2019-0540", Score: 4.3, Vector: "low", Severity: catalog.Low}),
		bulletin("b", catalog.CVE{ID: "CVE-2019-0540", Title: "of b", Score: 7.5, Vector: "high", Severity: catalog.Important, Exploited: true}),
		bulletin("c", catalog.CVE{ID: "CVE-2019-9999"}),
		update("a/1", "a", "CVE-2019-0540"), update("b/1", "b", "CVE-2019-0540"), update("b/2", "b"), update("c/1", "c", "CVE-2019-9999"))
	var d bulletins.CVEDetail
	if err := c.Get(t.Context(), "/cves/cve-2019-0540", nil, &d); err != nil {
		t.Fatal(err)
	}
	if d.ID != "CVE-2019-0540" || d.Title != "of b" || d.Score != 7.5 || d.Vector != "high" || d.Severity != catalog.Important || !d.Exploited || d.Disclosed {
		t.Errorf("the vulnerability is %+v", d.CVERow)
	}
	if len(d.BulletinList) != 2 || len(d.UpdateList) != 2 || d.Updates != 2 || d.UpdateList[0].Of != "a" {
		t.Errorf("%d bulletins and %d updates fix it", len(d.BulletinList), len(d.UpdateList))
	}
	var on api.List[*compliance.OnComputer]
	if err := c.Get(t.Context(), "/cves/CVE-2019-0540/computers", url.Values{"status": {"missing,failed"}}, &on); err != nil || on.Total != 0 {
		t.Errorf("computers %+v, %v", on, err)
	}
	for path, want := range map[string]int{
		"/cves/CVE-1": 404, "/cves/CVE-1/computers": 404, "/cves/CVE-2019-0540/computers?colour=red": 400, "/cves/%20": 404, "/cves/..%2f": 404,
	} {
		at, err := url.Parse(path)
		if err != nil {
			t.Fatal(err)
		}
		var e *client.Error
		if err := c.Get(t.Context(), at.EscapedPath(), at.Query(), nil); !errors.As(err, &e) || e.Status != want {
			t.Errorf("%s: %v, want %d", path, err, want)
		}
	}
}
