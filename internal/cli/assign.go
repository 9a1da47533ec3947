package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"refresher/internal/credential"
)

// maxValue is far more than a field holds.
const maxValue = 1 << 20

var fieldName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)

// isFieldName reports whether a name can be a field's, and so be repeated in a
// message: what a slip of the keyboard leaves before an equals sign may be a secret.
func isFieldName(name string) bool { return fieldName.MatchString(name) }

// assignment is one FIELD=VALUE of the command line. Its text may be a secret.
type assignment struct {
	name string
	text credential.Secret
}

// parseAssignments reads FIELD=VALUE arguments. No message repeats a value.
func parseAssignments(cmd *cobra.Command, args []string) ([]assignment, error) {
	all := make([]assignment, 0, len(args))
	seen := map[string]bool{}
	for i, arg := range args {
		name, text, ok := strings.Cut(arg, "=")
		switch {
		case !ok:
			return nil, usage(cmd, "field argument %d is not FIELD=VALUE", i+1)
		case !isFieldName(name):
			return nil, usage(cmd, "field argument %d: what stands before the equals sign is not a field's name (a-z, 0-9, _)", i+1)
		case seen[name]:
			return nil, usage(cmd, "field %q is given twice", name)
		}
		seen[name] = true
		all = append(all, assignment{name, credential.Secret(text)})
	}
	return all, nil
}

// values finds out what the assignments say: "-" is read from standard input,
// "@file" from a file, and a backslash keeps either from meaning that. An empty
// value stays empty: it removes the field.
func (p *program) values(ctx context.Context, cmd *cobra.Command, all []assignment) (map[string]string, error) {
	fields := make(map[string]string, len(all))
	piped := false
	for _, a := range all {
		text := a.text.Reveal()
		if text == "-" && p.Person == nil {
			if piped {
				return nil, usage(cmd, "only one field can be read from standard input")
			}
			piped = true
		}
		text, err := p.value(ctx, a.name, text)
		if err != nil {
			return nil, fmt.Errorf("field %q: %w", a.name, err)
		}
		fields[a.name] = text
	}
	return fields, nil
}

// value finds out what one assignment says.
func (p *program) value(ctx context.Context, name, text string) (string, error) {
	var err error
	switch {
	case text == "-" && p.Person != nil:
		text, err = p.Person.Secret(ctx, name)
	case text == "-":
		text, err = readAll(p.Stdin)
	case strings.HasPrefix(text, "@"):
		text, err = readFile(text[1:])
	case strings.HasPrefix(text, `\-`) || strings.HasPrefix(text, `\@`):
		return text[1:], nil
	default:
		return text, nil
	}
	if err != nil {
		return "", err
	}
	return oneValue(text)
}

// oneValue returns the text without the line break at its end, which no editor
// leaves out.
func oneValue(text string) (string, error) {
	text = strings.TrimRight(text, "\r\n")
	switch {
	case text == "":
		return "", errors.New("nothing was given")
	case !utf8.ValidString(text):
		return "", errors.New("what was given is not text in UTF-8")
	}
	return text, nil
}

func readAll(r io.Reader) (string, error) {
	if r == nil {
		return "", nil
	}
	data, err := io.ReadAll(io.LimitReader(r, maxValue+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("read standard input: %w", err)
	case len(data) > maxValue:
		return "", errors.New("standard input holds more than 1 MiB")
	}
	return string(data), nil
}

func readFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		// The name is not repeated: a value may begin with @ and be no file's.
		if e, ok := errors.AsType[*os.PathError](err); ok {
			err = e.Err
		}
		return "", withHint(fmt.Errorf("the file after @ cannot be read: %w", err), `write \@ for a value that begins with @`)
	}
	defer func() { _ = f.Close() }()
	text, err := readAll(f)
	if err != nil {
		return "", errors.New("the file after @ cannot be read, or holds more than 1 MiB")
	}
	return text, nil
}
