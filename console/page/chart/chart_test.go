package chart_test

import (
	"encoding/xml"
	"io"
	"math"
	"strings"
	"testing"

	"thatch/console/page/chart"
	"thatch/console/page/words"
)

func TestCharts(t *testing.T) {
	w := words.For("de")
	for name, c := range map[string]chart.Chart{
		"nothing":  {Title: "t"},
		"zeros":    {Title: "t", Labels: []string{"a", "b"}, Series: []chart.Series{{Name: "s", Values: []float64{0, 0}}}},
		"one":      {Title: "t", Labels: []string{"a"}, Series: []chart.Series{{Name: "s", Values: []float64{1}}}},
		"hostile":  {Title: `"><script>`, Labels: []string{`<b>&"`}, Series: []chart.Series{{Name: `</svg>`, Values: []float64{12345}}}},
		"seven":    {Title: "t", Labels: []string{"a"}, Series: []chart.Series{{"1", []float64{1}}, {"2", []float64{2}}, {"3", []float64{3}}, {"4", []float64{4}}, {"5", []float64{5}}, {"6", []float64{6}}, {"7", []float64{7}}}},
		"long one": {Title: "t", Labels: []string{strings.Repeat("ü", 100)}, Series: []chart.Series{{Name: "s", Values: []float64{0.5}}}},
	} {
		for kind, drawn := range map[string]string{"bars": string(c.Bars(w)), "rows": string(c.Rows(w))} {
			// Everything that is drawn is well formed, so no text has become markup, and no number is none.
			d := xml.NewDecoder(strings.NewReader(strings.ReplaceAll(drawn, "&#34;", "&quot;")))
			for {
				_, err := d.Token()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatalf("%s as %s: %v\n%s", name, kind, err, drawn)
				}
			}
			if strings.Contains(drawn, "NaN") || strings.Contains(drawn, "Inf") || strings.Contains(drawn, "<script>") {
				t.Errorf("%s as %s: %s", name, kind, drawn)
			}
			if name == "hostile" && !strings.Contains(drawn, "12.345") {
				t.Errorf("the table lacks the number: %s", drawn)
			}
		}
	}
}

// TestBarsAreInProportion: the bar of twice the value is twice as high.
func TestBarsAreInProportion(t *testing.T) {
	c := chart.Chart{Title: "t", Labels: []string{"a", "b"}, Series: []chart.Series{{Name: "s", Values: []float64{50, 100}}}}
	var heights []float64
	d := xml.NewDecoder(strings.NewReader(string(c.Bars(words.For("en")))))
	for {
		token, err := d.Token()
		if err != nil {
			break
		}
		start, ok := token.(xml.StartElement)
		if !ok || start.Name.Local != "rect" {
			continue
		}
		for _, a := range start.Attr {
			if a.Name.Local == "height" {
				heights = append(heights, number(t, a.Value))
			}
		}
	}
	if len(heights) != 2 || math.Abs(heights[1]-2*heights[0]) > 0.2 {
		t.Errorf("the bars are %v high", heights)
	}
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	var x float64
	if err := xml.Unmarshal([]byte("<x>"+text+"</x>"), &x); err != nil {
		t.Fatal(err)
	}
	return x
}
