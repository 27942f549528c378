package supersedence

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"thatch/catalog"
)

// Month counts months: year times twelve plus the month from 0. Zero is no month.
type Month int

// MonthOf reads "2019-Feb", with or without a suffix such as "-OOB". Anything else is no month.
func MonthOf(file string) Month {
	if len(file) < 8 || file[4] != '-' || len(file) > 8 && file[8] != '-' {
		return 0
	}
	year, err := strconv.Atoi(file[:4])
	i := slices.Index(monthNames, strings.ToLower(file[5:8]))
	if err != nil || i < 0 {
		return 0
	}
	return Month(year*12 + i)
}

var monthNames = []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}

// String writes "2019-02"; no month is empty.
func (m Month) String() string {
	if m == 0 {
		return ""
	}
	return fmt.Sprintf("%04d-%02d", int(m)/12, int(m)%12+1)
}

// Released is the second Tuesday of the month, when Microsoft publishes, at midnight UTC.
func (m Month) Released() time.Time {
	first := time.Date(int(m)/12, time.Month(int(m)%12+1), 1, 0, 0, 0, 0, time.UTC)
	return first.AddDate(0, 0, (int(time.Tuesday)-int(first.Weekday())+7)%7+7)
}

// MonthFrom is the month of a bulletin: that of the vendor file that names it for the most vulnerabilities, of equals
// the earliest. Files are revised later and then name newer KBs, so a file's name alone does not tell.
func MonthFrom(named []catalog.NamedBy) Month {
	best, _ := release(named)
	return best
}

// ReleasedFrom is the day on which the vendor file of a bulletin's month was first published, or empty.
func ReleasedFrom(named []catalog.NamedBy) string {
	_, day := release(named)
	return day
}

func release(named []catalog.NamedBy) (best Month, day string) {
	most := -1
	for _, n := range named {
		m := MonthOf(n.File)
		if m == 0 {
			continue
		}
		if n.CVEs > most || n.CVEs == most && m < best {
			best, most, day = m, n.CVEs, n.Released
		}
	}
	return best, day
}

// anchor says which KB number was given out in a month: that of the cumulative update of Windows 10 1607 and
// Server 2016 (of Windows 10 before). KB numbers grow with time, so the nearest anchor dates a KB that nobody names.
type anchor struct {
	number int
	month  Month
}

var anchors = func() []anchor {
	years := []struct {
		year    int
		numbers []int
	}{
		{2016, []int{3124266, 3135173, 3140768, 3147461, 3156387, 3163017, 3163912, 3176495, 3189866, 3194798, 3200970, 3206632}},
		{2017, []int{3213986, 4010250, 4013429, 4015217, 4019472, 4022715, 4025339, 4034658, 4038782, 4041691, 4048953, 4053579}},
		{2018, []int{4056890, 4074590, 4088787, 4093119, 4103723, 4284880, 4338814, 4343887, 4457131, 4462917, 4467691, 4471321}},
		{2019, []int{4480961, 4487026, 4489882, 4493470, 4494440, 4503267, 4507460, 4512517, 4516044, 4519998, 4525236, 4530689}},
		{2020, []int{4534271, 4537764, 4540670, 4550929, 4556813, 4561616, 4565511, 4571694, 4577015, 4580346, 4586830, 4593226}},
		{2021, []int{4598243, 4601318, 5000803, 5001347, 5003197, 5003638, 5004238, 5005043, 5005573, 5006669, 5007192, 5008207}},
		{2022, []int{5009546, 5010359, 5011495, 5012596, 5013952, 5014702, 5015808, 5016622, 5017305, 5018411, 5019964, 5021235}},
		{2023, []int{5022289, 5022838, 5023697, 5025228, 5026363, 5027219, 5028169, 5029242, 5030213, 5031362, 5032197, 5033373}},
		{2024, []int{5034119, 5034767, 5035855, 5036899, 5037763, 5039214, 5040434, 5041773, 5043051, 5044293, 5046612, 5048671}},
		{2025, []int{5049993, 5052006, 5053594, 5055521, 5058383, 5061010, 5062560, 5063871, 5065427, 5066836, 5068864, 5071543}},
		{2026, []int{5073722, 5075999, 5078938}},
	}
	// Before 2016 a year is near enough: nothing that the vendor's files list is older.
	all := []anchor{{958000, 2009 * 12}, {977000, 2010 * 12}, {2419000, 2011 * 12}, {2638000, 2012 * 12}, {2785000, 2013 * 12}, {2913000, 2014 * 12}, {3019000, 2015 * 12}}
	for _, y := range years {
		for i, n := range y.numbers {
			all = append(all, anchor{n, Month(y.year*12 + i)})
		}
	}
	slices.SortFunc(all, func(a, b anchor) int { return cmp.Compare(a.number, b.number) })
	return all
}()

// perMonth is by how much KB numbers grow in a month, beyond the last anchor.
const perMonth = 2500

// eras dates KB numbers: the anchors, and later months as a catalog has them.
type eras []anchor

// era is the month in which a KB number was given out, as near as the anchors tell; a KB is published in that month or
// some weeks later. No number is no month.
func (e eras) era(kb string) Month {
	n, err := strconv.Atoi(kb)
	if err != nil || len(e) == 0 {
		return 0
	}
	i, _ := slices.BinarySearchFunc(e, n, func(a anchor, n int) int { return cmp.Compare(a.number, n) })
	switch {
	case i == len(e):
		last := e[i-1]
		return last.month + Month((n-last.number)/perMonth)
	case i > 0 && n-e[i-1].number <= e[i].number-n:
		return e[i-1].month
	}
	return e[i].month
}

// with adds the middle KB number of every month after the last anchor.
func (e eras) with(numbers map[Month][]int) eras {
	all := slices.Clone(e)
	last := all[len(all)-1]
	for m, list := range numbers {
		if m <= last.month || len(list) == 0 {
			continue
		}
		slices.Sort(list)
		if middle := list[len(list)/2]; middle > last.number {
			all = append(all, anchor{middle, m})
		}
	}
	slices.SortFunc(all, func(a, b anchor) int { return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.month, b.month)) })
	return all
}
