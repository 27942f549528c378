package agent

import (
	"time"

	"thatch/catalog"
	"thatch/catalog/rule"
	"thatch/catalog/supersedence"
)

// knowledge is what the catalog says of KBs that follow one another, from the updates that the agent holds. It holds
// no bulletins; the month that a KB has by them comes with each update's number.
func knowledge(all []numbered) rule.Knowledge {
	graph := supersedence.NewGraph()
	for i := range all {
		one := &all[i]
		graph.AddUpdate(one.id, &one.update)
		month, err := time.Parse("2006-01", one.month)
		if one.update.KB == "" || err != nil {
			continue
		}
		graph.AddBulletin("month of KB"+one.update.KB, &catalog.Bulletin{
			Name: "KB" + one.update.KB, Named: []catalog.NamedBy{{File: month.Format("2006-Jan"), CVEs: 1}},
		})
	}
	return graph.View(time.Time{})
}
