package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Table writes rows under heads, in columns.
func Table(w io.Writer, heads []string, rows [][]string) error {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, strings.Join(heads, "\t"))
	for _, row := range rows {
		for i := range row {
			row[i] = oneLine(row[i])
		}
		fmt.Fprintln(tw, strings.Join(row, "\t"))
	}
	return tw.Flush()
}

// oneLine keeps a text from other programs or people from breaking the table or steering the terminal.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, text)
}

// Listing is a command that shows a list of the API.
type Listing struct {
	Use, Short, Long, Example string
	Path                      string            // below /api/v1
	Heads                     []string          // of the columns for people
	Keys                      []string          // their JSON keys; "a.b" reaches inside
	Flags                     map[string]string // flag -> text; each is a query parameter of the same name with _ for -
	Args                      []string          // names of arguments, each a further segment of Path
	After                     string            // further segments after the arguments: "/members"
}

// AsOf is the flag of lists that can be had as of a past day, with its text.
const (
	AsOf     = "as-of"
	AsOfText = "as of the end of a past day, such as 2026-03-31; thatch compliance days lists those that are kept"
)

// page is a list's answer.
type page struct {
	Items []json.RawMessage `json:"items"`
	Total int               `json:"total"`
	Page  int               `json:"page"`
	Limit int               `json:"limit"`
	AsOf  string            `json:"as_of"`
	Taken string            `json:"taken"`
}

// List makes the command of a Listing, with the flags that all lists have.
func (a *App) List(l Listing) *cobra.Command {
	if len(l.Heads) != len(l.Keys) {
		panic(fmt.Sprintf("list of %s: %d heads stand over %d columns", l.Path, len(l.Heads), len(l.Keys)))
	}
	var search, sort string
	var filters []string
	var number, limit int
	values := map[string]*string{}
	cmd := &cobra.Command{
		Use: l.Use, Short: l.Short, Long: l.Long, Example: l.Example, Args: Args(l.Args...),
		RunE: func(cmd *cobra.Command, args []string) error {
			query := url.Values{}
			for _, f := range filters {
				name, value, ok := strings.Cut(f, "=")
				if !ok {
					return Usagef("--filter %q: want COLUMN=VALUE", f)
				}
				query.Set(name, value)
			}
			for name, value := range values {
				setNonEmpty(query, strings.ReplaceAll(name, "-", "_"), *value)
			}
			setNonEmpty(query, "q", search)
			setNonEmpty(query, "sort", sort)
			query.Set("page", strconv.Itoa(number))
			query.Set("limit", strconv.Itoa(limit))
			return a.list(cmd, l, args, query)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&search, "search", "q", "", "only rows with these words")
	flags.StringArrayVar(&filters, "filter", nil, "COLUMN=VALUE; also =!VALUE, =A,B, =BEGIN*, =>VALUE, =<VALUE; may be repeated")
	flags.StringVar(&sort, "sort", "", "column, with - before it descending")
	flags.IntVar(&number, "page", 1, "page, from 1")
	flags.IntVar(&limit, "limit", 100, "rows per page")
	for name, text := range l.Flags {
		values[name] = flags.String(name, "", text)
	}
	return cmd
}

func setNonEmpty(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}

// Items shows a list that has no pages.
func (a *App) Items(ctx context.Context, l Listing) error {
	c, err := a.Client()
	if err != nil {
		return err
	}
	var raw json.RawMessage
	if err := c.Get(ctx, l.Path, nil, &raw); err != nil {
		return err
	}
	return a.Print(raw, func(w io.Writer) error { return printPage(w, l, raw) })
}

// CopyFlags gives to the values that were set on from, where both have the flag.
func CopyFlags(from, to *cobra.Command) error {
	var failed error
	from.Flags().Visit(func(f *pflag.Flag) {
		other := to.Flags().Lookup(f.Name)
		if other == nil || failed != nil {
			return
		}
		if many, ok := f.Value.(pflag.SliceValue); ok {
			if into, ok := other.Value.(pflag.SliceValue); ok {
				failed = into.Replace(many.GetSlice())
				return
			}
		}
		failed = to.Flags().Set(f.Name, f.Value.String())
	})
	return failed
}

func (a *App) list(cmd *cobra.Command, l Listing, args []string, query url.Values) error {
	c, err := a.Client()
	if err != nil {
		return err
	}
	path := l.Path
	for _, arg := range args {
		path += "/" + url.PathEscape(arg)
	}
	var raw json.RawMessage
	if err := c.Get(cmd.Context(), path+l.After, query, &raw); err != nil {
		return err
	}
	return a.Print(raw, func(w io.Writer) error { return printPage(w, l, raw) })
}

func printPage(w io.Writer, l Listing, raw json.RawMessage) error {
	var p page
	if err := json.Unmarshal(raw, &p); err != nil {
		return fmt.Errorf("the list: %w", err)
	}
	rows := make([][]string, 0, len(p.Items))
	for _, item := range p.Items {
		var fields map[string]any
		if err := decodeNumbers(item, &fields); err != nil {
			return fmt.Errorf("the list: %w", err)
		}
		row := make([]string, len(l.Keys))
		for i, key := range l.Keys {
			row[i] = Text(at(fields, key))
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		fmt.Fprintln(w, "none")
		return nil
	}
	if err := Table(w, l.Heads, rows); err != nil {
		return err
	}
	if p.AsOf != "" {
		fmt.Fprintf(w, "as of %s; taken %s\n", p.AsOf, p.Taken)
	}
	if p.Total > p.Page*p.Limit {
		fmt.Fprintf(w, "%d of %d; go on with --page %d\n", len(rows), p.Total, p.Page+1)
	}
	return nil
}

func at(fields map[string]any, key string) any {
	head, rest, deeper := strings.Cut(key, ".")
	value := fields[head]
	if inner, ok := value.(map[string]any); ok && deeper {
		return at(inner, rest)
	}
	return value
}

// Columns names the columns that a list can be filtered and sorted by, as help texts say them.
func Columns(columns []string) string {
	return strings.Join(slices.Sorted(slices.Values(columns)), ", ") + "."
}
