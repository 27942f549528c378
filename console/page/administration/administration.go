// Package administration is the console's pages of what keeps a site going: tasks and their runs, alarms, settings, audit.
package administration

import (
	"embed"
	"io/fs"

	"thatch/console/page"
)

//go:embed templates/*.html
var files embed.FS

// Area is the pages of this room.
func Area() page.Area {
	templates, err := fs.Sub(files, "templates")
	if err != nil {
		panic(err) // embedded
	}
	return page.Area{Templates: templates, Pages: []*page.Page{
		taskList(), runs(), run(), runEvents(), runLog(), task(), // runs before {name}: the first that fits answers
		alarmList(), auditList(), auditOne(), settingList(), familyList(),
	}}
}
