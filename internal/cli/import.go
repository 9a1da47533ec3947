package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/spf13/cobra"

	"refresher/internal/credential"
)

const importLong = `Store many credentials from a file in YAML or JSON: a list of them, or
"credentials:" with one. Each has tenant, name, provider and the provider's
fields; "credentials fields" shows them.

    credentials:
      - tenant: acme
        name: main
        provider: kibo
        client_id: "…"
        client_secret: "…"

All are checked first. If one of them is wrong, or is stored already, nothing is
stored and everything that is wrong is said.`

// importMode says what an import is to do.
type importMode struct {
	dryRun, skipExisting, replace bool
}

func (p *program) importCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Store many credentials from a file",
		Long:  importLong,
		Example: `  refresher credentials import credentials.yaml --dry-run
  refresher credentials import credentials.yaml --skip-existing
  sops -d credentials.enc.json | refresher credentials import -`,
		Args: oneArg("FILE (- for standard input)"),
	}
	var mode importMode
	cmd.Flags().BoolVar(&mode.dryRun, "dry-run", false, "check everything and store nothing")
	cmd.Flags().BoolVar(&mode.skipExisting, "skip-existing", false, "leave what is stored already as it is")
	cmd.Flags().BoolVar(&mode.replace, "replace", false, "replace what is stored already, as a whole")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if mode.skipExisting && mode.replace {
			return usage(cmd, "--skip-existing and --replace exclude each other")
		}
		return p.importFile(cmd.Context(), args[0], mode)
	}
	return cmd
}

func (p *program) importFile(ctx context.Context, name string, mode importMode) error {
	data, err := p.importData(name)
	if err != nil {
		return err
	}
	records, err := parseImport(data)
	if err != nil {
		if name == "-" {
			name = "standard input"
		}
		return fmt.Errorf("%s: %w", name, err)
	}
	s, sources, err := p.prepare()
	if err != nil {
		return err
	}
	s.checkRecords(records)
	if err := nothingStored(records); err != nil {
		return err
	}
	defer s.close()
	if err := s.connect(ctx, sources); err != nil {
		return err
	}
	return s.importRecords(ctx, records, mode)
}

func (p *program) importData(name string) ([]byte, error) {
	in := p.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		in = f
	} else if in == nil {
		in = bytes.NewReader(nil)
	}
	data, err := io.ReadAll(io.LimitReader(in, maxImport+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > maxImport:
		return nil, fmt.Errorf("%s is larger than 64 MiB", name)
	}
	return data, nil
}

// checkRecords notes everything that is wrong with each record by itself.
func (s *session) checkRecords(records []record) {
	first := map[credential.ID]string{}
	for i := range records {
		r := &records[i]
		if r.id.Tenant != "" {
			if place, ok := first[r.id]; ok {
				r.problems = append(r.problems, "is there twice: first as "+place)
			} else {
				first[r.id] = r.place
			}
		}
		if len(r.problems) > 0 && len(r.fields) == 0 {
			continue
		}
		v := s.judge(r.id, r.fields)
		for name := range r.refused { // what was refused is not missing
			v.problems = slices.DeleteFunc(v.problems, func(p string) bool { return p == missingField(name) })
		}
		r.problems = append(r.problems, v.problems...)
		for _, name := range v.unknown {
			r.problems = append(r.problems, unknownField(v.method, name))
		}
	}
}

// nothingStored returns everything that is wrong with the records.
func nothingStored(records []record) error {
	var b strings.Builder
	bad := 0
	for _, r := range records {
		if len(r.problems) > 0 {
			bad++
		}
		for _, problem := range r.problems {
			fmt.Fprintf(&b, "\n- %s: %s", r.label(), clean(problem))
		}
	}
	if bad == 0 {
		return nil
	}
	return fmt.Errorf("nothing is stored: %d of %s cannot be%s", bad, count(len(records), "credential"), b.String())
}

// importReaders and importWriters bound how many requests an import has open at Vault.
const (
	importReaders = 16
	importWriters = 8
)

func (s *session) importRecords(ctx context.Context, records []record, mode importMode) error {
	docs, err := s.readAll(ctx, records)
	if err != nil {
		return err
	}
	plan, tally := planImport(records, docs, mode)
	if err := nothingStored(records); err != nil {
		return withHint(err, "--skip-existing leaves what is stored as it is, --replace replaces it")
	}
	if mode.dryRun {
		for _, step := range plan {
			s.say("would %s %s", step.verb, records[step.record].id)
		}
		s.say("nothing is stored: would store %d, would replace %d, unchanged %d, skipped %d",
			tally["store"], tally["replace"], tally["unchanged"], tally["skipped"])
		return nil
	}
	done, failed := s.carryOut(ctx, plan, records, docs)
	told := s.tell(ctx, done...)
	s.say("stored %d, unchanged %d, skipped %d, failed %d", len(done), tally["unchanged"], tally["skipped"], len(failed))
	if told != "" {
		s.say("%s", told)
	}
	if left := len(plan) - len(done) - len(failed); left > 0 {
		failed = append(failed, fmt.Errorf("%s not tried after that: run the import again with --skip-existing or --replace", count(left, "credential")))
	}
	return failed.orNil()
}

// readAll returns what is stored under the name of each record.
func (s *session) readAll(ctx context.Context, records []record) ([]stored, error) {
	docs := make([]stored, len(records))
	errs := make([]error, len(records))
	var broken atomic.Bool
	inParallel(ctx, len(records), importReaders, func(i int) {
		if broken.Load() {
			return
		}
		docs[i], errs[i] = s.read(ctx, records[i].id)
		if errs[i] != nil {
			broken.Store(true)
		}
	})
	for i, err := range errs {
		if err != nil {
			return nil, explain(fmt.Errorf("nothing is stored: %s: %w", records[i].label(), err), s.config)
		}
	}
	return docs, ctx.Err()
}

// step is one write of an import.
type step struct {
	record int
	verb   string
}

// planImport decides what is written, and counts what is not. What is in the way
// becomes a problem of its record.
func planImport(records []record, docs []stored, mode importMode) (plan []step, tally map[string]int) {
	tally = map[string]int{}
	for i, doc := range docs {
		verb := "store"
		switch {
		case !doc.there:
		case doc.broken == nil && maps.Equal(doc.fields, records[i].fields):
			verb = "unchanged"
		case mode.skipExisting:
			verb = "skipped"
		case mode.replace:
			verb = "replace"
		default:
			records[i].problems = append(records[i].problems, "is stored already")
		}
		tally[verb]++
		if verb == "store" || verb == "replace" {
			plan = append(plan, step{i, verb})
		}
	}
	return plan, tally
}

// maxFailed is after how many failed writes an import gives up.
const maxFailed = 10

// carryOut writes, and returns what was stored and what went wrong.
func (s *session) carryOut(ctx context.Context, plan []step, records []record, docs []stored) (done []credential.ID, failed failures) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var mu sync.Mutex
	inParallel(ctx, len(plan), importWriters, func(i int) {
		r, doc := records[plan[i].record], docs[plan[i].record]
		_, err := s.vault.PutCredential(ctx, r.id, r.fields, &doc.version)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			done = append(done, r.id)
		case errors.Is(err, context.Canceled) && len(failed) >= maxFailed:
			failed = append(failed, fmt.Errorf("%s: given up; it may be stored", r.id))
		default:
			failed = append(failed, s.notWritten(r.id, err))
		}
		if len(failed) >= maxFailed {
			stop()
		}
	})
	return done, failed
}
