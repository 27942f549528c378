package node

import (
	"context"
	"encoding/json"
	"fmt"

	"thatch/node/bulletins/stock"
	"thatch/node/tasks"
)

// The kinds of tasks about payload files as they are on disk.
const (
	ContentVerify = "content-verify"
	ContentImport = "content-import"
	ContentExport = "content-export"
)

// Disk says where payload files are taken from, or copied to.
type Disk struct {
	Folder string `json:"folder"`        // absolute, on the node's own machine
	All    bool   `json:"all,omitempty"` // take files too that no document of the site names
	For    string `json:"for,omitempty"` // id of the child whose languages alone count, "" all
}

// Stock is the payload files of this node as they are on disk, and how many copies there are in the site.
func (n *Node) Stock() *stock.Stock { return stock.New(n.Content, n.Staging, n.Copies.Standings) }

// contentKinds check, take and copy payload files: those of the node where it is asked for.
func (n *Node) contentKinds() []tasks.Kind {
	here := func(json.RawMessage) bool { return true }
	key := func(json.RawMessage) string { return n.folder.ID }
	read := func(job *tasks.Job) func(done, of int64, name string) {
		return func(done, of int64, name string) {
			job.Progress(tasks.Progress{Done: done, Total: of, Unit: "bytes", Text: name})
		}
	}
	return []tasks.Kind{
		{Name: ContentVerify, Text: "Read every payload and hold it against its digest", Here: here, Key: key, Do: func(ctx context.Context, job *tasks.Job) (any, error) {
			done, err := n.Stock().Verify(ctx, read(job))
			for _, sum := range done.Altered {
				job.Log("payload %s was altered on disk; it is in quarantine, and fetched again where it is needed", sum)
			}
			if err == nil && len(done.Altered) > 0 {
				err = fmt.Errorf("%d of %d payloads were altered on disk", len(done.Altered), len(done.Altered)+done.Payloads)
			}
			return done, err
		}},
		{Name: ContentImport, Text: "Take payload files from a folder", Here: here, Key: key, Do: func(ctx context.Context, job *tasks.Job) (any, error) {
			var from Disk
			if err := job.Decode(&from); err != nil {
				return nil, err
			}
			done, err := n.Stock().Import(ctx, from.Folder, from.All, read(job))
			n.Copies.Look()
			for _, failed := range done.Failed {
				job.Log("not read: %s", failed)
			}
			return done, err
		}},
		{Name: ContentExport, Text: "Copy payload files to a folder", Here: here, Key: key, Do: func(ctx context.Context, job *tasks.Job) (any, error) {
			var to Disk
			if err := job.Decode(&to); err != nil {
				return nil, err
			}
			var languages []string
			if to.For != "" {
				alert, err := n.Sites.Alert(ctx, to.For)
				if err != nil {
					return nil, err
				}
				languages = append([]string{}, alert.Languages...)
			}
			return n.Stock().Export(ctx, to.Folder, languages, read(job))
		}},
	}
}
