package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are what a run is asked for.
type options struct {
	seed      uint64
	duration  time.Duration
	rotations int
	hits      int
	every     int
	replicas  int
	tenants   int
	others    int
	outage    time.Duration
	clocks    bool
	where     []Boundary // empty: all
	what      []Kind     // empty: all
	dir       string
	report    string
	commit    string
	root      string // of this repository
	refresher string
	vaultDev  string
	// attack takes the place of the plan's faults, in a scenario.
	attack func(*rig)
}

func main() {
	if code, done := inOwnMounts(); done {
		os.Exit(code)
	}
	ctx, restore := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, restore)
	err := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

// command reads the command line, and makes the runs that it asks for.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if o.clocks {
		dir, err := os.MkdirTemp("", "chaos-clocks-")
		if err == nil {
			defer func() { _ = os.RemoveAll(dir) }()
			o.refresher, err = apart(ctx, o.root, dir)
		}
		if err != nil {
			return err
		}
	}
	return runs(ctx, o, stdout)
}

// runs makes the runs and writes the report.
func runs(ctx context.Context, o options, stdout io.Writer) error {
	began := time.Now()
	faults, err := attack(ctx, o, stdout)
	if err != nil {
		return err
	}
	var outage *result
	if o.outage > 0 {
		if outage, err = attack(ctx, redisOutage(o), stdout); err != nil {
			return err
		}
	}
	if o.report != "" {
		if err := writeReport(o, began, faults, outage); err != nil {
			return err
		}
		fmt.Fprintf(stdout, "chaos: written to %s\n", o.report)
	}
	if !faults.ok() || outage != nil && !outage.ok() {
		return fmt.Errorf("something that must not be, see above; the seed was %d", o.seed)
	}
	return nil
}

func parse(args []string, stderr io.Writer) (options, error) {
	o := options{}
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Uint64Var(&o.seed, "seed", 1, "what the plan is drawn from")
	flags.DurationVar(&o.duration, "for", 2*time.Hour, "the longest time under faults")
	flags.IntVar(&o.rotations, "rotations", 10_000, "under faults until so many rotations are committed")
	flags.IntVar(&o.hits, "hits", 200, "under faults until every boundary was hit so often")
	flags.IntVar(&o.every, "every", 50, "one crossing of each side of a boundary in so many is hit, on average")
	flags.IntVar(&o.replicas, "replicas", 4, "processes of the service")
	flags.IntVar(&o.tenants, "tenants", 120, "tenants, each with a rotating credential")
	flags.IntVar(&o.others, "others", 3, "tenants that have a credential of each other method, too")
	flags.DurationVar(&o.outage, "outage", time.Minute, "how long Redis is gone in the second part; 0 leaves it out")
	flags.BoolVar(&o.clocks, "clocks", true, "the replicas' clocks differ; the service is built once more for that, unless -refresher names another program")
	flags.Func("where", "only these `boundaries`, separated by commas", listOf(&o.where, boundaries()))
	flags.Func("what", "only these `kinds` of faults, separated by commas", listOf(&o.what, allKinds()))
	flags.StringVar(&o.dir, "dir", "", "an empty `folder` for logs and stories; a temporary one by default, removed if all is well")
	flags.StringVar(&o.report, "report", "", "the `file` whose generated part is written anew")
	flags.StringVar(&o.commit, "commit", "", "what the report says was tested")
	flags.StringVar(&o.refresher, "refresher", "", "the program under attack; bin/refresher by default")
	flags.StringVar(&o.vaultDev, "vault", "", "the Vault server; bin/vault-dev by default")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	o.clocks = o.clocks && o.refresher == ""
	return o, o.findPrograms()
}

// listOf reads a list of known words into a flag's value.
func listOf[T ~string](into *[]T, known []T) func(string) error {
	return func(text string) error {
		for word := range strings.SplitSeq(text, ",") {
			if !slices.Contains(known, T(word)) {
				return fmt.Errorf("%q is none of %q", word, known)
			}
			*into = append(*into, T(word))
		}
		return nil
	}
}

// findPrograms looks for the programs in bin/ of this repository.
func (o *options) findPrograms() error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	for ; root != filepath.Dir(root); root = filepath.Dir(root) {
		content, err := os.ReadFile(filepath.Join(root, "go.mod"))
		if err == nil && strings.HasPrefix(string(content), "module refresher\n") {
			break
		}
	}
	o.root = root
	for name, at := range map[string]*string{"refresher": &o.refresher, "vault-dev": &o.vaultDev} {
		if *at == "" {
			*at = filepath.Join(root, "bin", name)
		}
		if _, err := os.Stat(*at); err != nil {
			return fmt.Errorf("%w: run make build tools-vault", err)
		}
	}
	return nil
}

// result is a run and its verdict.
type result struct {
	*verdict
	rig  *rig
	took time.Duration
}

// attack makes one run. It prints what failed, with the stories, and keeps the
// folder of a run that did.
func attack(ctx context.Context, o options, out io.Writer) (*result, error) {
	dir, temporary := o.dir, o.dir == ""
	var err error
	if temporary {
		dir, err = os.MkdirTemp("", "chaos-")
	} else {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return nil, err
	}
	log, closeLog, err := openLog(filepath.Join(dir, "story.jsonl"))
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "chaos: seed %d, in %s\n", o.seed, dir)
	if !smallDisks() {
		fmt.Fprintln(out, "chaos: no disk may be mounted here: none will be full (needs root with CAP_SYS_ADMIN, or user namespaces)")
	}
	r, err := newRig(ctx, o, dir, log)
	if err == nil {
		err = r.run(out)
	}
	if err != nil {
		return nil, errors.Join(err, r.close(), closeLog())
	}
	res := &result{rig: r}
	res.verdict, err = r.conclude()
	res.took = time.Since(r.story.began)
	if err := errors.Join(err, closeLog()); err != nil {
		return nil, err
	}
	res.print(out)
	if res.ok() && temporary {
		return res, os.RemoveAll(dir)
	}
	return res, nil
}

// conclude takes what is left to see, stops everything and passes the verdict.
func (r *rig) conclude() (*verdict, error) {
	paths := r.evidence()
	if r.options.clocks {
		r.clocksDiffer()
	}
	secrets := append(r.sims.Secrets(), r.secretID)
	if err := r.close(); err != nil {
		return nil, err
	}
	if err := r.secrets.finish(secrets, paths...); err != nil {
		return nil, err
	}
	v := r.judge()
	if r.options.attack != nil {
		v.judgeOutage()
	}
	var said []announcement
	for _, rep := range r.replicas {
		said = append(said, v.judgeLog(rep, r.aheadOf(rep.n))...)
	}
	v.judgeAnnouncements(r.seen, r.circumstances(), said)
	v.Failures = append(v.Failures, r.wrong...)
	v.SecretsIn, v.Secrets, v.Found = r.secrets.bytes, len(secrets)+len(r.secrets.known), len(r.secrets.found)
	for _, found := range r.secrets.found {
		v.fail("I8", "", "%s", found)
	}
	return v, nil
}

// evidence writes down what Redis and the processes hold, and returns where all is
// that must hold no secret.
func (r *rig) evidence() []string {
	var paths []string
	if dump, err := r.redis.dump(); err != nil {
		r.broken(err)
	} else {
		paths = append(paths, dump)
	}
	for _, rep := range r.replicas {
		paths = append(paths, rep.log, r.spoolKept(rep))
		if metrics := rep.metrics; metrics != "" {
			paths = append(paths, metrics)
		}
	}
	return append(paths, filepath.Join(r.dir, "story.jsonl"))
}

// stories prints at most so many stories of failed credentials.
const stories = 3

func (res *result) print(out io.Writer) {
	if res.ok() {
		fmt.Fprintf(out, "chaos: all is well: %d rotations, %d faults; the slowest to recover by itself was %s: %s\n",
			res.Rotations, len(res.rig.faults), res.WorstAlone.id, res.WorstAlone)
		return
	}
	fmt.Fprintf(out, "\nchaos: FAILED with seed %d; everything is in %s\n%s", res.rig.options.seed, res.rig.dir, res.lines())
	told := map[string]bool{}
	for _, f := range res.Failures {
		if f.ID == "" || told[f.ID] || len(told) == stories {
			continue
		}
		told[f.ID] = true
		fmt.Fprintf(out, "\nThe story of %s:\n%s", f.ID, res.rig.story.of(f.ID))
	}
}
