package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"refresher/internal/config"
)

// The exit codes of the program.
const (
	ExitOK     = 0
	ExitFailed = 1
	ExitUsage  = 2
)

// Env is what the program is run with.
type Env struct {
	// Args are the arguments without the program's name.
	Args []string
	// Environ is the environment as "NAME=value".
	Environ []string
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	// Person is asked for what is not on the command line; nil if nobody is there.
	Person Person
	// Color says that Stderr is a terminal that shows colours.
	Color bool
	// Now is the clock that durations are told by; nil means time.Now.
	Now func() time.Time
	// Build says which build this is.
	Build Build
}

// Main runs one command and returns the program's exit code. When ctx ends, a
// service stops gracefully, and any other command gives up.
func Main(ctx context.Context, env Env) int {
	if env.Now == nil {
		env.Now = time.Now
	}
	p := &program{Env: env}
	root := p.root()
	// Without arguments cobra would take those of the process.
	root.SetArgs(append([]string{}, env.Args...))
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	return p.end(root.ExecuteContext(ctx))
}

// program is one run of the program.
type program struct {
	Env
	configFile string
	sets       []string
}

const rootLong = `Refresher keeps the API credentials of many tenants alive. The secrets live in
HashiCorp Vault; Refresher renews each before it expires and writes the token
back, where other services read it.`

const rootExample = `  refresher doctor                         # see whether everything is set up
  refresher run                            # the service
  refresher credentials put acme/main …    # store a credential
  refresher credentials list               # see how all of them fare`

func (p *program) root() *cobra.Command {
	root := group(&cobra.Command{
		Use:           "refresher",
		Short:         "Keep API credentials alive",
		Long:          rootLong,
		Example:       rootExample,
		SilenceErrors: true,
		SilenceUsage:  true,
	})
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	root.SetFlagErrorFunc(flagError)
	// A command that only holds others is run without arguments by mistake alone.
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(), "{{if .Runnable}}", "{{if and .Runnable (not .HasAvailableSubCommands)}}", 1))
	flags := root.PersistentFlags()
	flags.StringVar(&p.configFile, "config", "", "configuration `file` in YAML (REFRESHER_CONFIG)")
	flags.StringArrayVar(&p.sets, "set", nil, "set a key of the configuration, as `path=value`; may be repeated")
	_ = root.MarkPersistentFlagFilename("config", "yaml", "yml")
	root.AddCommand(
		p.runCommand(), p.onceCommand(), p.credentialsCommand(), p.doctorCommand(), p.vaultCommand(), p.configCommand(), p.versionCommand(),
	)
	root.SetHelpCommand(helpCommand(root))
	return root
}

// load reads the configuration.
func (p *program) load() (config.Config, config.Sources, error) {
	return config.Load(config.Options{File: p.configFile, Environ: p.Environ, Sets: p.sets})
}

// errSaid means that the command failed and has said why.
var errSaid = errors.New("failed")

// end reports an error and returns the exit code.
func (p *program) end(err error) int {
	usage, isUsage := errors.AsType[*usageError](err)
	many, isMany := errors.AsType[failures](err)
	switch {
	case err == nil:
		return ExitOK
	case errors.Is(err, errSaid):
		return ExitFailed
	case isUsage:
		p.complain(usage)
		fmt.Fprintf(p.Stderr, "Run %q for help.\n", usage.command+" --help")
		return ExitUsage
	case isMany:
		for _, err := range many {
			p.complain(err)
		}
	case errors.Is(err, context.Canceled):
		p.complain(errors.New("interrupted"))
	default:
		p.complain(err)
	}
	return ExitFailed
}

// complain writes one error, and below it what to do.
func (p *program) complain(err error) {
	fmt.Fprintf(p.Stderr, "refresher: %s\n", err)
	if h, ok := errors.AsType[*hinted](err); ok {
		fmt.Fprintf(p.Stderr, "  → %s\n", indent(h.hint, "    "))
	}
}

// warn writes something that is no error.
func (p *program) warn(format string, args ...any) {
	fmt.Fprintf(p.Stderr, "refresher: warning: "+format+"\n", args...)
}

// say writes a line of the command's answer.
func (p *program) say(format string, args ...any) {
	fmt.Fprintf(p.Stdout, format+"\n", args...)
}

// failures are the errors of a command that went on after the first.
type failures []error

// Error joins the errors, one a line.
func (f failures) Error() string { return errors.Join(f...).Error() }

// orNil returns nil if there are none.
func (f failures) orNil() error {
	if len(f) == 0 {
		return nil
	}
	return f
}
