// Package chart draws figures as SVG on the server, each with its numbers in a table below, for those who do not see it.
// Colours and fonts come from the console's stylesheet, by classes s1 to s5.
package chart

import (
	"fmt"
	"html/template"
	"math"
	"strings"

	"thatch/console/page/words"
)

// Chart is numbers with their names. Every series has a value for each label.
type Chart struct {
	Title  string // what it shows, in the reader's language
	Labels []string
	Series []Series
}

// Series is one colour of bars. There are at most five.
type Series struct {
	Name   string
	Values []float64
}

const (
	width, height            = 400.0, 180.0
	left, right, top, bottom = 40.0, 6.0, 8.0, 22.0
	colours                  = 5
)

// Bars draws the series of each label upon each other.
func (c Chart) Bars(w *words.Catalog) template.HTML {
	most := nice(c.most())
	return c.figure(w, func(b *strings.Builder) {
		c.axes(b, w, most)
		for at := range c.Labels {
			from := 0.0
			for i, s := range c.Series {
				to := from + s.Values[at]
				x1, x2 := c.x(at, 0.15), c.x(at, 0.85)
				if s.Values[at] > 0 {
					fmt.Fprintf(b, `<rect class="s%d" x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>%s: %s</title></rect>`,
						colour(i), x1, y(to, most), x2-x1, y(from, most)-y(to, most),
						template.HTMLEscapeString(c.Labels[at]+" "+s.Name), number(w, s.Values[at]))
				}
				from = to
			}
		}
	})
}

// Rows draws one horizontal bar for each label, its series beside each other, all in proportion to the longest.
func (c Chart) Rows(w *words.Catalog) template.HTML {
	const line, from = 22.0, 150.0
	most := c.most()
	if most == 0 {
		most = 1
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="chart" viewBox="0 0 %.0f %.0f" role="img" aria-label="%s">`, width, line*float64(len(c.Labels)), template.HTMLEscapeString(c.Title))
	for at, label := range c.Labels {
		middle := line*float64(at) + line/2
		fmt.Fprintf(&b, `<text x="%.0f" y="%.1f" text-anchor="end">%s</text>`, from-8, middle+4, template.HTMLEscapeString(short(label, 24)))
		x, sum := from, 0.0
		for i, s := range c.Series {
			wide := s.Values[at] / most * (width - from - 50)
			if s.Values[at] > 0 {
				fmt.Fprintf(&b, `<rect class="s%d" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, colour(i), x, middle-7, math.Max(wide, 1), 14.0)
			}
			x, sum = x+wide, sum+s.Values[at]
		}
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f">%s</text>`, x+6, middle+4, number(w, sum))
	}
	b.WriteString(`</svg>`)
	return c.frame(w, b.String())
}

func (c Chart) figure(w *words.Catalog, draw func(b *strings.Builder)) template.HTML {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="chart" viewBox="0 0 %.0f %.0f" role="img" aria-label="%s">`, width, height, template.HTMLEscapeString(c.Title))
	draw(&b)
	b.WriteString(`</svg>`)
	return c.frame(w, b.String())
}

// frame puts the legend before a drawing and its numbers after it.
func (c Chart) frame(w *words.Catalog, svg string) template.HTML {
	var b strings.Builder
	b.WriteString("<figure>")
	if len(c.Series) > 1 {
		b.WriteString(`<ul class="legend">`)
		for i, s := range c.Series {
			fmt.Fprintf(&b, `<li><svg viewBox="0 0 10 10" aria-hidden="true"><rect class="s%d" width="10" height="10"/></svg>%s</li>`, colour(i), template.HTMLEscapeString(s.Name))
		}
		b.WriteString(`</ul>`)
	}
	b.WriteString(svg)
	fmt.Fprintf(&b, `<details><summary>%s</summary><table><caption>%s</caption><thead><tr><th></th>`,
		template.HTMLEscapeString(w.T("As a table")), template.HTMLEscapeString(c.Title))
	for _, s := range c.Series {
		fmt.Fprintf(&b, `<th scope="col" class="number">%s</th>`, template.HTMLEscapeString(s.Name))
	}
	b.WriteString(`</tr></thead><tbody>`)
	for at, label := range c.Labels {
		fmt.Fprintf(&b, `<tr><th scope="row">%s</th>`, template.HTMLEscapeString(label))
		for _, s := range c.Series {
			fmt.Fprintf(&b, `<td class="number">%s</td>`, number(w, s.Values[at]))
		}
		b.WriteString(`</tr>`)
	}
	b.WriteString(`</tbody></table></details></figure>`)
	return template.HTML(b.String())
}

// axes draws four lines across with their values, and as many labels below as there is room for.
func (c Chart) axes(b *strings.Builder, w *words.Catalog, most float64) {
	for i := range 5 {
		value := most * float64(i) / 4
		at := y(value, most)
		fmt.Fprintf(b, `<line class="axis" x1="%.0f" x2="%.0f" y1="%.1f" y2="%.1f"/>`, left, width-right, at, at)
		if i%2 == 0 {
			fmt.Fprintf(b, `<text x="%.0f" y="%.1f" text-anchor="end">%s</text>`, left-6, at+4, number(w, value))
		}
	}
	every := max(1, (len(c.Labels)+5)/6)
	for i := 0; i < len(c.Labels); i += every {
		fmt.Fprintf(b, `<text x="%.1f" y="%.0f" text-anchor="middle">%s</text>`, c.x(i, 0.5), height-6, template.HTMLEscapeString(short(c.Labels[i], 12)))
	}
}

// x is where a share of a label's place stands.
func (c Chart) x(at int, share float64) float64 {
	return left + (width-left-right)*(float64(at)+share)/float64(max(len(c.Labels), 1))
}

func y(value, most float64) float64 { return height - bottom - (height-top-bottom)*value/most }

// most is the greatest sum of a label's values.
func (c Chart) most() float64 {
	most := 0.0
	for at := range c.Labels {
		sum := 0.0
		for _, s := range c.Series {
			sum += s.Values[at]
		}
		most = math.Max(most, sum)
	}
	return most
}

// nice is the next number that four lines divide well.
func nice(most float64) float64 {
	if most <= 4 {
		return 4
	}
	step := math.Pow(10, math.Floor(math.Log10(most)))
	for _, times := range []float64{1, 2, 4, 8, 10} {
		if step*times >= most {
			return step * times
		}
	}
	return step * 10
}

func colour(i int) int { return i%colours + 1 }

func number(w *words.Catalog, value float64) string {
	if value == math.Trunc(value) {
		return w.Number(int64(value))
	}
	return w.Decimal(value, 1)
}

func short(text string, most int) string {
	letters := []rune(text)
	if len(letters) <= most {
		return text
	}
	return string(letters[:most-1]) + "…"
}
