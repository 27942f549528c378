package node

import (
	"context"
	"strings"
	"time"

	"thatch/node/backup"
	"thatch/node/folder"
	"thatch/node/members"
	"thatch/node/membership"
	"thatch/node/store"
)

func (n *Node) openBackups() {
	n.Backups = backup.New(backup.Config{
		Settings: backup.Settings{Node: n.folder.ID, Listen: n.cfg.Listen, Names: n.cfg.Names},
		Dir:      n.cfg.Dir, Scratch: n.folder.Path(folder.ScratchFolder), Version: n.cfg.Version,
		Term:     func() uint64 { return n.quorum.Status().Term },
		Database: n.db, Writer: n.writer, Keys: n.Identity, Tasks: n.Tasks, Now: n.cfg.Now,
	})
}

// comeback is what is to be said of how the site would come back if it were lost.
func (n *Node) comeback(ctx context.Context) (problems []membership.Problem) {
	if n.Backups == nil || n.Copies == nil {
		return nil
	}
	problems = n.Copies.Problems()
	standing, err := n.Backups.Standing(ctx)
	if err != nil {
		return append(problems, membership.Problem{Level: membership.LevelError, Kind: membership.ProblemBackup, Text: err.Error(), Advice: "look at the node's log"})
	}
	if t := standing.Trouble; t != nil {
		problems = append(problems, membership.Problem{Level: membership.LevelWarning, Kind: membership.ProblemBackup, Text: t.Text, Advice: t.Advice})
	}
	for _, line := range standing.Advice {
		text, advice, _ := strings.Cut(strings.TrimSuffix(line, "."), ": ")
		problems = append(problems, membership.Problem{Level: membership.LevelHint, Kind: membership.ProblemBackup, Text: text, Advice: advice})
	}
	return problems
}

// backups is how the site would come back, as far as it can be read now.
func (n *Node) backups() backup.Standing {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	standing, err := n.Backups.Standing(ctx)
	if err != nil {
		n.cfg.Log.Error("how the site would come back could not be read", "error", err)
	}
	return standing
}

// ChangeKey gives this node another key to which the site's keys are sealed.
func (n *Node) ChangeKey(ctx context.Context) error {
	return n.Identity.ChangeNodeKey(ctx, func(public []byte) store.Statement { return members.ChangeSealKey(n.folder.ID, public) })
}
