package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"refresher/internal/credential"
)

// usageError is a command line that cannot be understood.
type usageError struct {
	command string
	message string
}

// Error implements error.
func (e *usageError) Error() string { return e.message }

func usage(cmd *cobra.Command, format string, args ...any) error {
	return &usageError{command: cmd.CommandPath(), message: fmt.Sprintf(format, args...)}
}

// group makes a command of one that only holds others: alone it shows its help,
// and an unknown word is an error that names the nearest command.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.SuggestionsMinimumDistance = 2
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return usage(cmd, "%s is not a command of %q%s", shownWord(args[0]), cmd.CommandPath(), didYouMean(nearestCommand(cmd, args[0])))
	}
	return cmd
}

// nearestCommand returns the command that may have been meant: one that says so,
// or the most like it of those that cobra would suggest.
func nearestCommand(cmd *cobra.Command, written string) string {
	for _, c := range cmd.Commands() {
		if slices.Contains(c.SuggestFor, written) {
			return c.Name()
		}
	}
	suggested := cmd.SuggestionsFor(written)
	slices.SortStableFunc(suggested, func(a, b string) int { return distance(written, a) - distance(written, b) })
	if len(suggested) == 0 {
		return ""
	}
	return suggested[0]
}

// helpCommand is cobra's, but an unknown command is an error.
func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Show the help of a command",
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return usage(root, "there is no help for %s", shownWord(strings.Join(args, " ")))
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
	}
}

// shownWord returns a word of the command line as it may be shown. What has an
// equals sign in it, or is long, may hold a secret in the wrong place.
func shownWord(word string) string {
	if strings.Contains(word, "=") || len(word) > 64 {
		return "what was given"
	}
	return fmt.Sprintf("%q", word)
}

// flagError says what is wrong with a flag, without repeating a value.
func flagError(cmd *cobra.Command, err error) error {
	if e, ok := errors.AsType[*pflag.NotExistError](err); ok {
		field := ""
		if cmd.Name() == putName {
			field = " (a field is given without dashes: FIELD=VALUE)"
		}
		if e.GetSpecifiedShortnames() != "" {
			return usage(cmd, "there is no flag -%.1s here%s", e.GetSpecifiedName(), field)
		}
		return usage(cmd, "there is no flag --%s here%s%s", plainName(e.GetSpecifiedName()), didYouMean(nearestFlag(cmd, e.GetSpecifiedName())), field)
	}
	if e, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		return usage(cmd, "flag --%s needs a value", e.GetFlag().Name)
	}
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return usage(cmd, "flag --%s %s", e.GetFlag().Name, wanted(e.GetFlag()))
	}
	return usage(cmd, "a flag cannot be read")
}

// wanted says what a flag takes.
func wanted(f *pflag.Flag) string {
	if c, ok := f.Value.(*choice); ok {
		return "must be " + joinOr(c.words)
	}
	switch f.Value.Type() {
	case "bool":
		return "must be true or false"
	case "duration":
		return "must be a duration such as 90s or 10m"
	default:
		return "has a value that cannot be read"
	}
}

func nearestFlag(cmd *cobra.Command, written string) string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if near := nearest(written, names); near != "" {
		return "--" + near
	}
	return ""
}

// choice is a flag with a fixed set of words; the first is the default.
type choice struct {
	words []string
	word  string
}

// String implements pflag.Value.
func (c *choice) String() string { return c.word }

// Type implements pflag.Value.
func (c *choice) Type() string { return strings.Join(c.words, "|") }

// Set implements pflag.Value.
func (c *choice) Set(word string) error {
	if !slices.Contains(c.words, word) {
		return errors.New("is none of the words")
	}
	c.word = word
	return nil
}

// outputFlag adds -o to a command: plain, the default, or json.
func outputFlag(cmd *cobra.Command, plain string) *choice {
	c := &choice{words: []string{plain, "json"}, word: plain}
	cmd.Flags().VarP(c, "output", "o", "how to print")
	completeWords(cmd, "output", c.words)
	return c
}

func completeWords(cmd *cobra.Command, flag string, words []string) {
	// It fails for a flag that is not there, which every test would see.
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}

// noArgs accepts no argument.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage(cmd, "%q takes no arguments, and there is %s", cmd.CommandPath(), shownWord(args[0]))
	}
	return nil
}

// oneArg accepts exactly one argument.
func oneArg(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return usage(cmd, "%s is missing", what)
		case len(args) > 1:
			return usage(cmd, "there is one argument too many: %s", shownWord(args[1]))
		}
		return nil
	}
}

// someArgs accepts one argument or more.
func someArgs(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usage(cmd, "%s is missing", what)
		}
		return nil
	}
}

// parseID reads TENANT/NAME.
func parseID(cmd *cobra.Command, arg string) (credential.ID, error) {
	if strings.Contains(arg, "=") || len(arg) > 200 {
		return credential.ID{}, usage(cmd, "the first argument must be TENANT/NAME, such as acme/main")
	}
	id, err := credential.ParseID(arg)
	if err != nil {
		return credential.ID{}, usage(cmd, "%s", err)
	}
	return id, nil
}

func parseIDs(cmd *cobra.Command, args []string) ([]credential.ID, error) {
	ids := make([]credential.ID, 0, len(args))
	for _, arg := range args {
		id, err := parseID(cmd, arg)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}
