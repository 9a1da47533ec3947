package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"refresher/internal/credential"
)

// listFilter says which credentials a list shows.
type listFilter struct {
	tenants, providers, statuses []string
	all                          bool
}

func (p *program) listCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:        "list",
		Aliases:    []string{"ls"},
		SuggestFor: []string{"status", "get", "ps"},
		Short:      "Show how the credentials fare",
		Long: `Show how the credentials fare: one line each, with what is wrong with it.

The status is what the service has published, or:
  invalid_name  no credential can have this name; the service leaves it alone
  deleted       deleted, and the token is not blanked yet
  unreadable    a document could not be read, or is broken
The next renewal is what the service's queue says if Redis is configured, else
what was published. The exit code is 1 if something could not be read.`,
		Example: `  refresher credentials list
  refresher credentials list --status needs_authorization,misconfigured,expired
  refresher credentials list --tenant acme -o json | jq '.[].name'`,
		Args: noArgs,
	}
	var filter listFilter
	flags := cmd.Flags()
	flags.StringSliceVar(&filter.tenants, "tenant", nil, "only these `tenants`")
	flags.StringSliceVar(&filter.providers, "provider", nil, "only these `providers`")
	flags.StringSliceVar(&filter.statuses, "status", nil, "only these `statuses`: "+strings.Join(statusWords(), ", "))
	flags.BoolVar(&filter.all, "all", false, "also those that were deleted, as long as Vault knows them")
	output := outputFlag(cmd, "table")
	completeWords(cmd, "status", statusWords())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := filter.check(cmd); err != nil {
			return err
		}
		return p.within(cmd.Context(), func(s *session) error { return s.list(cmd.Context(), filter, output.word) })
	}
	return cmd
}

func (f listFilter) check(cmd *cobra.Command) error {
	for _, status := range f.statuses {
		if !slices.Contains(statusWords(), status) {
			return usage(cmd, "%s is no status%s", shownWord(status), didYouMean(nearest(status, statusWords())))
		}
	}
	for _, tenant := range f.tenants {
		if err := credential.CheckName("tenant", tenant); err != nil {
			return usage(cmd, "%s", err)
		}
	}
	return nil
}

func (f listFilter) shows(r row) bool {
	among := func(words []string, word string) bool { return len(words) == 0 || slices.Contains(words, word) }
	// Who asks for removed ones by name need not ask twice.
	if r.gone && !f.all && !slices.Contains(f.statuses, string(credential.StatusRemoved)) {
		return false
	}
	return among(f.statuses, r.Status) && among(f.providers, r.Provider)
}

// row is one line of the list.
type row struct {
	Tenant     string    `json:"tenant"`
	Name       string    `json:"name"`
	Provider   string    `json:"provider"`
	Auth       string    `json:"auth,omitempty"`
	Status     string    `json:"status"`
	Generation int       `json:"generation"`
	ExpiresAt  time.Time `json:"expires_at,omitzero"`
	// ExpiresIn is the rest of the token's life in whole seconds, negative if it
	// is over; nil if it has no end.
	ExpiresIn *int64    `json:"expires_in_seconds,omitempty"`
	NextAt    time.Time `json:"next_renewal_at,omitzero"`
	// Failures counts the failed attempts since the last success, as the queue knows.
	Failures  int    `json:"failures,omitempty"`
	LastError string `json:"last_error,omitempty"`

	serves bool
	// gone: deleted, and nothing is left to be said of it.
	gone bool
}

func (s *session) list(ctx context.Context, filter listFilter, output string) error {
	rows, failed, err := s.rows(ctx, filter)
	if err != nil {
		return err
	}
	if output == "json" {
		err = writeJSON(s.Stdout, rows)
	} else if len(rows) > 0 {
		err = writeTable(s.Stdout, rows, s.Now())
	}
	if err != nil {
		return err
	}
	if len(rows) == 0 && len(failed) == 0 && output != "json" {
		s.nothing(filter)
	}
	return summarize(failed).orNil()
}

// nothing says that the list is empty, and why that may be.
func (s *session) nothing(filter listFilter) {
	if len(filter.tenants)+len(filter.providers)+len(filter.statuses) > 0 {
		fmt.Fprintln(s.Stderr, "No credential matches.")
		return
	}
	fmt.Fprintf(s.Stderr, "There are no credentials below %s/%s/credentials/.\n"+
		"Store one with: refresher credentials put TENANT/NAME provider=…\n"+
		"If there should be some: are REFRESHER_VAULT_MOUNT and REFRESHER_VAULT_PREFIX right?\n", s.config.Vault.Mount, s.config.Vault.Prefix)
}

// maxShown is how many errors of one kind are shown.
const maxShown = 5

// summarize keeps a listing's errors to a number that can be read.
func summarize(failed failures) failures {
	if len(failed) <= maxShown {
		return failed
	}
	left := fmt.Errorf("and %d more like these", len(failed)-maxShown)
	return append(slices.Clone(failed[:maxShown]), left)
}

func writeTable(w io.Writer, rows []row, now time.Time) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "TENANT\tNAME\tPROVIDER\tSTATUS\tEXPIRES IN\tNEXT RENEWAL\tLAST ERROR")
	for _, r := range rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", plainName(r.Tenant), orDash(clean(r.Name)), orDash(clean(r.Provider)),
			r.Status, r.expiresIn(now), r.nextRenewal(now), orDash(clean(r.LastError)))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write the list: %w", err)
	}
	return nil
}

func (r row) expiresIn(now time.Time) string {
	switch {
	case r.ExpiresAt.IsZero() && r.serves:
		return "never"
	case r.ExpiresAt.IsZero():
		return "-"
	case r.ExpiresAt.After(now):
		return human(r.ExpiresAt.Sub(now))
	default:
		return fromNow(r.ExpiresAt, now)
	}
}

// lateAfter is how far a renewal may be behind before it is called late.
const lateAfter = time.Minute

func (r row) nextRenewal(now time.Time) string {
	switch {
	case r.NextAt.IsZero():
		return "-"
	case r.NextAt.After(now):
		return fromNow(r.NextAt, now)
	case now.Sub(r.NextAt) < lateAfter:
		return "now"
	default:
		return human(now.Sub(r.NextAt)) + " late"
	}
}
