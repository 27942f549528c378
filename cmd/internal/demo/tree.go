package demo

import (
	"context"
	"fmt"
	"strings"
)

// join makes a tree of the sites.
func (d *demo) join(ctx context.Context) error {
	d.chapter("They become a tree: Berlin and Paris under London, Potsdam under Berlin")
	for _, s := range d.sites[1:] {
		above := d.at(s.parent)
		d.prompt(above, "children", "tokens", "create", "--name", s.name)
		var made struct{ Token string }
		if err := d.ask(ctx, above, &made, "children", "tokens", "create", "--name", s.name); err != nil {
			return err
		}
		d.say("%s...", made.Token[:min(len(made.Token), 12)])
		if err := d.showAt(ctx, s, "child", "join", "--parent", "https://"+above.address, "--token", made.Token); err != nil {
			return err
		}
	}
	return nil
}

// holding is what a site holds of the catalog.
type holding struct{ bulletins, updates, packages int }

func (d *demo) holding(ctx context.Context, s *site) (h holding, err error) {
	for _, one := range []struct {
		list string
		into *int
	}{{"bulletins", &h.bulletins}, {"updates", &h.updates}, {"packages", &h.packages}} {
		var list struct{ Total int }
		if err := d.ask(ctx, s, &list, one.list, "list", "--limit", "1"); err != nil {
			return h, err
		}
		*one.into = list.Total
	}
	return h, nil
}

// flowed waits until what was imported at the top has come everywhere, and shows what each site holds.
func (d *demo) flowed(ctx context.Context) error {
	d.note("\nNobody sequences anything: the catalog flows down by itself, to each site what its languages need. A bulletin or update\n" +
		"is for everybody, a package for those who manage its language:")
	want, err := d.holding(ctx, d.top())
	if err != nil {
		return err
	}
	for _, s := range d.sites {
		var h holding
		err := within(ctx, tellTime, "the catalog arrives at "+s.name, func() (err error) {
			h, err = d.holding(ctx, s)
			if err == nil && (h.bulletins != want.bulletins || h.updates != want.updates || h.packages == 0) {
				err = fmt.Errorf("it holds %d of %d bulletins, %d of %d updates, %d packages", h.bulletins, want.bulletins, h.updates, want.updates, h.packages)
			}
			return err
		})
		if err != nil {
			return err
		}
		d.say("  %-8s manages %-8s  %2d bulletins, %2d updates, %d packages", s.name, s.languages, h.bulletins, h.updates, h.packages)
	}
	return nil
}

// prompt prints a command as a person would type it at a site.
func (d *demo) prompt(s *site, args ...string) {
	fmt.Fprintf(d.Out, "\n%s$ thatch %s\n", s.name, strings.Join(shortened(args, d.dir), " "))
}

// showAt runs one command at a site, as a person would type it.
func (d *demo) showAt(ctx context.Context, s *site, args ...string) error {
	d.prompt(s, args...)
	err := d.Thatch(ctx, d.Out, append(args, "--data", s.dir)...)
	if err != nil {
		fmt.Fprintf(d.Out, "thatch: %v\n", err)
		return fmt.Errorf("thatch %s: %w", strings.Join(args[:min(2, len(args))], " "), err)
	}
	return nil
}
