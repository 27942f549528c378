package scan

import (
	"time"

	"thatch/catalog"
	"thatch/catalog/rule"
	"thatch/catalog/supersedence"
)

// knowledge is what the catalog says of KBs that follow one another, from the updates that a computer is judged by. It holds
// no bulletins; the month that a KB has by them comes with each update's number.
func knowledge(all []Update) rule.Knowledge {
	graph := supersedence.NewGraph()
	for i := range all {
		one := &all[i]
		graph.AddUpdate(one.ID, &one.Body)
		month, err := time.Parse("2006-01", one.Month)
		if one.Body.KB == "" || err != nil {
			continue
		}
		graph.AddBulletin("month of KB"+one.Body.KB, &catalog.Bulletin{
			Name: "KB" + one.Body.KB, Named: []catalog.NamedBy{{File: month.Format("2006-Jan"), CVEs: 1}},
		})
	}
	return graph.View(time.Time{})
}
