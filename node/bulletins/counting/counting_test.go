package counting

import (
	"testing"

	"pgregory.net/rapid"

	"thatch/catalog"
	"thatch/catalog/rule"
	"thatch/node/bulletins/live"
)

// Counting without decoding counts what decoding shows, whatever texts are in a body.
func TestCountingEqualsDecoding(t *testing.T) {
	nasty := rapid.OneOf(rapid.StringMatching(`[0-9]{6,8}`), rapid.String(), rapid.SampledFrom([]string{
		"", `"`, `\`, `","kb":"7`, `"supersedes":["x"]`, `]`, `a,b`, `"applicable":{`, "</script>",
	}))
	rapid.Check(t, func(r *rapid.T) {
		u := catalog.Update{
			Name: nasty.Draw(r, "name"), Title: nasty.Draw(r, "title"), KB: nasty.Draw(r, "kb"),
			Product:   catalog.Product{ID: nasty.Draw(r, "product"), Name: nasty.Draw(r, "product name")},
			Relations: catalog.Relations{Supersedes: rapid.SliceOfN(nasty, 0, 4).Draw(r, "supersedes")}, Rules: catalog.Rules{NoRule: nasty.Draw(r, "no rule")},
		}
		for _, rules := range []**rule.Rule{&u.Applicable, &u.Installed, &u.Superseded} {
			if rapid.Bool().Draw(r, "rule") {
				*rules = rule.Test("FileExists", "Path", nasty.Draw(r, "path"), "kb", nasty.Draw(r, "key"))
			}
		}
		body, err := catalog.Encode(u)
		if err != nil {
			r.Fatal(err)
		}
		decoded, err := catalog.Decode[catalog.Update](body)
		if err != nil {
			r.Fatal(err)
		}
		got := newSum()
		read := readUpdate("id", body)
		got.add(&read)
		if decoded.KB != "" && (!got.kbs[decoded.KB] || len(got.kbs) != 1) {
			r.Fatalf("KB %q: %v of %s", decoded.KB, got.kbs, body)
		}
		if decoded.KB == "" && len(got.kbs) > 0 {
			r.Fatalf("a KB out of nothing: %v of %s", got.kbs, body)
		}
		if decoded.KB != "" && decoded.Product.ID != "" && !got.pairs[pair{decoded.KB, decoded.Product.ID}] {
			r.Fatalf("pair: %v of %s", got.pairs, body)
		}
		want := map[pair]bool{}
		for _, former := range decoded.Supersedes {
			want[pair{article(decoded.KB, "id"), article(live.KBOf(former), former)}] = true
		}
		if len(want) != len(got.edges) || got.ByProduct != len(decoded.Supersedes) || got.NoRule == 1 != (decoded.Applicable == nil) {
			r.Fatalf("edges %v, want %v; %+v of %s", got.edges, want, got.Counts, body)
		}
	})
}
