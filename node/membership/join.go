package membership

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"thatch/catalog/token"
	"thatch/node/folder"
	"thatch/node/identity"
	"thatch/node/identity/sealed"
	"thatch/node/members"
	"thatch/node/store"
	"thatch/node/wire"
)

// Asked is how a node is to join a site.
type Asked struct {
	Dir       string // data folder; an empty one, or one whose join was cut short
	At        string // HOST:PORT of any node of the site
	Token     token.Token
	Name      string
	Addresses []string // HOST:PORT at which it will be reached
	Names     []string // host names and addresses for its certificate
	Votes     bool
	Version   string
	Now       func() time.Time
}

// Found is the site that a node joined.
type Found struct {
	Site  string `json:"site_id"`
	Name  string `json:"site"`
	Node  string `json:"node"` // its id
	Votes bool   `json:"votes"`
	Again bool   `json:"again"` // it had joined before
}

// Join makes a data folder that of a node of a site. The node then has to run. A join that was cut anywhere is done again with
// the same token.
func Join(ctx context.Context, a Asked) (found Found, err error) {
	f, err := folder.Open(a.Dir)
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	creds, err := wire.OpenCredentials(a.Dir, f.ID)
	if err != nil {
		return found, err
	}
	if creds.Known() {
		return again(a, creds)
	}
	for _, name := range []string{folder.DatabaseFile, folder.QuorumFolder} {
		if _, err := os.Stat(f.Path(name)); !errors.Is(err, fs.ErrNotExist) {
			return found, store.Conflicting("%s holds %s: it belongs to a node already; join from an empty data folder", a.Dir, name)
		}
	}
	// A folder from which a site was asked must not become one of a site of its own: the answer may be lost.
	if err := writeGuide(a.Dir, guide{Votes: a.Votes}); err != nil {
		return found, err
	}
	answer, err := ask(ctx, a, f.ID, creds)
	if err != nil {
		return found, err
	}
	// The guide first: where there is a certificate, there is all that the node needs.
	if err := writeGuide(a.Dir, guide{Site: answer.Site, Name: answer.Name, Votes: a.Votes, Nodes: answer.reached(a.At)}); err != nil {
		return found, err
	}
	if err := creds.Keep(answer.Chain); err != nil {
		return found, err
	}
	return Found{Site: answer.Site, Name: answer.Name, Node: f.ID, Votes: a.Votes}, nil
}

// reached is where the nodes of the site are. The one that answered is reached where it was asked, whatever it says of itself.
func (j JoinAnswer) reached(at string) []Known {
	for i, n := range j.Nodes {
		if n.ID == j.Node {
			j.Nodes[i].Addresses = distinct(append([]string{at}, n.Addresses...))
		}
	}
	return j.Nodes
}

// again answers a join that came to its end before.
func again(a Asked, creds *wire.Credentials) (Found, error) {
	if token.Fingerprint(creds.Authority().Raw) != a.Token.Fingerprint {
		return Found{}, store.Conflicting("%s belongs to a node of another site (%s): join from an empty data folder", a.Dir, creds.Site())
	}
	g, err := readGuide(a.Dir)
	if err != nil {
		return Found{}, err
	}
	found := Found{Site: creds.Site(), Node: creds.ID(), Again: true}
	if g != nil {
		found.Name, found.Votes = g.Name, g.Votes
	}
	return found, nil
}

func ask(ctx context.Context, a Asked, id string, creds *wire.Credentials) (answer JoinAnswer, err error) {
	seal, err := sealed.NodeKey(a.Dir)
	if err != nil {
		return answer, err
	}
	in := JoinRequest{
		Node: id, Name: a.Name, Addresses: a.Addresses, Names: a.Names, Votes: a.Votes, SealKey: seal.Public(), Version: a.Version, Schema: store.SchemaVersion,
	}
	if in.CSR, err = creds.Request(); err != nil {
		return answer, err
	}
	var site string
	config := identity.FirstTLS(a.Token.Fingerprint, func(found string, _ []byte) { site = found }, a.Now)
	err = wire.CallAt(ctx, a.At, config, wire.Call{Path: pathJoin, Token: a.Token.String(), In: in, Out: &answer})
	switch {
	case err != nil:
		return answer, refused(a, err)
	case answer.Site != site || len(answer.Chain) != 2 || token.Fingerprint(answer.Chain[1]) != a.Token.Fingerprint:
		return answer, fmt.Errorf("the node at %s answers in the name of site %.80q, and its certificate is that of %s", a.At, answer.Site, site)
	}
	return answer, nil
}

// refused says what a failed call means to whoever wants to join.
func refused(a Asked, err error) error {
	switch wire.CodeOf(err) {
	case "":
		return fmt.Errorf("ask the site at %s: %w", a.At, err)
	case members.CodeTokenUnknown, members.CodeTokenUsed, members.CodeTokenExpired, members.CodeRemoved:
		return identity.Unauthorised("the site at %s refuses: %v", a.At, err)
	case members.CodeTaken:
		return store.Conflicting("the site at %s refuses: %v", a.At, err)
	case codeInvalid:
		return store.Invalid("the site at %s refuses: %v", a.At, err)
	}
	return fmt.Errorf("the site at %s cannot take the node now: %w; try again with the same token", a.At, err)
}

// Lost says that a folder cannot be run: its join was cut, or it has lost its part of the quorum, what it had agreed to and
// voted for. It must not go on as the same node, for it might vote twice. Called before the quorum is opened.
func Lost(dir string, creds *wire.Credentials) error {
	if !creds.Known() {
		if _, err := os.Stat(filepath.Join(dir, guideFile)); err == nil {
			return fmt.Errorf("%s is to be the data folder of a node that joins a site, and it has not joined: give the command again, "+
				"with the same token (thatch node join); or start from an empty folder", dir)
		}
		return nil
	}
	for _, name := range []string{guideFile, folder.QuorumFolder} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%s is the data folder of node %s, and its folder %s is lost: put it back; or remove the node from its site "+
		"(thatch site remove %s) and join it anew in an empty folder; or, where it is the last one, make a site of one node of what is here "+
		"(thatch node recover), or restore a backup (thatch restore)",
		dir, creds.ID(), folder.QuorumFolder, creds.ID())
}
