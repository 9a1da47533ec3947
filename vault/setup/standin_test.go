package setup_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
)

// standInName is what the test's own program is called when it stands in for the
// vault program.
const standInName = "vault"

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == standInName {
		os.Exit(standIn(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// standIn does with a real Vault what HashiCorp's program of that name does: the
// commands that a printed plan uses, with the same output, messages and exit codes
// (1 for a wrong call or a field that is not there, 2 for what Vault refuses or has
// not). Building the real one would take all of Vault once more.
func standIn(args []string) int {
	client, err := api.NewClient(api.DefaultConfig())
	if err != nil {
		return complain(2, "%s", err)
	}
	c := command{client: client, flags: map[string]string{"format": os.Getenv("VAULT_FORMAT")}}
	for _, word := range args {
		if name, value, _ := strings.Cut(word, "="); strings.HasPrefix(word, "-") && word != "-" {
			c.flags[strings.TrimPrefix(name, "-")] = value
		} else {
			c.words = append(c.words, word)
		}
	}
	switch {
	case c.is("secrets list", 2):
		mounts, err := client.Sys().ListMountsWithContext(context.Background())
		return c.show(mounts, err)
	case c.is("auth list", 2):
		methods, err := client.Sys().ListAuthWithContext(context.Background())
		return c.show(methods, err)
	case c.is("secrets enable", 3):
		return c.enableStore()
	case c.is("auth enable", 3):
		return c.outcome(client.Sys().EnableAuthWithOptionsWithContext(context.Background(), c.flags["path"], &api.EnableAuthOptions{Type: c.words[2]}))
	case c.is("policy write", 4):
		rules, err := io.ReadAll(os.Stdin)
		return c.outcome(errors.Join(err, client.Sys().PutPolicyWithContext(context.Background(), c.words[2], string(rules))))
	case c.is("read", 2):
		return c.read()
	case len(c.words) > 1 && c.words[0] == "write":
		return c.write()
	default:
		return complain(1, "vault has no command %q", args)
	}
}

// command is one call of the stand-in.
type command struct {
	client *api.Client
	words  []string
	flags  map[string]string
}

func (c command) is(name string, words int) bool {
	return len(c.words) == words && strings.HasPrefix(strings.Join(c.words, " ")+" ", name+" ")
}

func complain(code int, format string, args ...any) int {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	return code
}

func (c command) outcome(err error) int {
	if err != nil {
		return complain(2, "%s", err)
	}
	fmt.Fprintln(os.Stdout, "Success!")
	return 0
}

func (c command) show(value any, err error) int {
	if err != nil {
		return complain(2, "%s", err)
	}
	if c.flags["format"] != "json" {
		fmt.Fprintf(os.Stdout, "%v", value)
		return 0
	}
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return complain(1, "%s", err)
	}
	fmt.Fprintf(os.Stdout, "%s\n", text)
	return 0
}

// enableStore enables a store whose first reading, and Vault may well be quicker than
// the script, finds it not ready.
func (c command) enableStore() int {
	input := &api.MountInput{Type: c.words[2], Options: map[string]string{"version": c.flags["version"]}}
	if err := c.client.Sys().MountWithContext(context.Background(), c.flags["path"], input); err != nil {
		return complain(2, "%s", err)
	}
	return c.outcome(os.WriteFile(os.Getenv("SLOW_STORE"), nil, 0o600))
}

func (c command) read() int {
	path := c.words[1]
	if strings.HasSuffix(path, "/config") && os.Remove(os.Getenv("SLOW_STORE")) == nil {
		return complain(2, "Error reading %s: Code: 400. Upgrading from non-versioned to versioned data", path)
	}
	secret, err := c.client.Logical().ReadWithContext(context.Background(), path)
	switch {
	case err != nil:
		return complain(2, "Error reading %s: %s", path, err)
	case secret == nil:
		return complain(2, "No value found at %s", path)
	default:
		return c.field(secret.Data)
	}
}

func (c command) write() int {
	fields, err := pairs(c.words[2:])
	if _, force := c.flags["force"]; err != nil || len(fields) == 0 && !force {
		return complain(1, "Must supply data or use -force (%v)", err)
	}
	secret, err := c.client.Logical().WriteWithContext(context.Background(), c.words[1], fields)
	if err != nil || secret == nil {
		return c.outcome(err)
	}
	return c.field(secret.Data)
}

// field shows the field that was asked for, or all.
func (c command) field(data map[string]any) int {
	name, one := c.flags["field"]
	if !one {
		return c.show(data, nil)
	}
	if data[name] == nil {
		return complain(1, "Field %q not present in secret", name)
	}
	return c.show(data[name], nil)
}

// pairs are the fields of a `vault write`: all are strings, '@' names a file, and
// '-' is what the command reads.
func pairs(words []string) (map[string]any, error) {
	fields := map[string]any{}
	for _, word := range words {
		name, value, found := strings.Cut(word, "=")
		if !found {
			return nil, fmt.Errorf("%q is not FIELD=VALUE", word)
		}
		if file, ok := strings.CutPrefix(value, "@"); ok {
			content, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			value = string(content)
		} else if value == "-" {
			content, err := io.ReadAll(os.Stdin)
			if err != nil {
				return nil, err
			}
			value = string(content)
		}
		fields[name] = value
	}
	return fields, nil
}
