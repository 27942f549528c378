package ordering

import (
	"bytes"
	"strings"
	"testing"
	"time"

	ordered "thatch/console/api/policies"
	"thatch/node/policies/outlook"
)

func TestPreviewIsPrinted(t *testing.T) {
	at := time.Now().Add(time.Hour)
	p := ordered.Preview{Outlook: &outlook.Outlook{
		Policy: "March", Problems: []string{"KB2 is not staged"}, Free: 1, Total: 2,
		Computers: outlook.Figures{All: 9, Targeted: 3, Missing: 2, Done: 1},
		Platforms: []outlook.Count{{Value: "windows", Targeted: 2}, {Targeted: 1}},
		Updates:   []outlook.Update{{Number: 7, Name: "Update 1", Enabled: true, Missing: 2, Waits: "waits for the vendor"}},
		List:      []outlook.Computer{{Name: "pc-1", Updates: []string{"Update 1"}, Starts: &at}, {Name: "pc-2", Updates: []string{"Update 1"}}},
	}, Sites: []*ordered.Site{{Site: "Top", Missing: 2, Computers: 9}, {Site: "Berlin", Missing: 4, Computers: 5}}}
	var out bytes.Buffer
	if err := printPreview(&out, &p); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"not now: KB2 is not staged", "March would be for 3 of 9 computers of this site: 2 miss something, 1 are done, 0 cannot tell",
		"by platform: windows 2, not known 1", "by group: none", "without a window: 1 computers", "site Berlin: 4 of 5", "waits for the vendor",
		"the first 2 of 2 computers", at.Local().Format(time.DateTime),
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}
