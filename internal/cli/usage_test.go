package cli

import (
	"strings"
	"testing"
)

func TestUsageErrors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"unknown command", []string{"docter"}, `"docter" is not a command of "refresher"; did you mean doctor?`},
		{"unknown command far from any", []string{"xyzzy"}, `"xyzzy" is not a command of "refresher"` + "\n"},
		{"unknown subcommand", []string{"credentials", "lst"}, "did you mean list?"},
		{"nearest of several", []string{"credentials", "pul"}, "did you mean put?"},
		{"word of another program", []string{"credentials", "get"}, "did you mean list?"},
		{"under the alias", []string{"creds", "lst"}, "did you mean list?"},
		{"secret in the place of a command", []string{"creds", "api_key=" + marker}, "what was given is not a command"},
		{"unknown help topic", []string{"help", "foo"}, `there is no help for "foo"`},
		{"unknown flag", []string{"credentials", "list", "--tennant", "acme"}, "there is no flag --tennant here; did you mean --tenant?"},
		{"unknown global flag", []string{"--confg=x", "run"}, "did you mean --config?"},
		{"unknown short flag", []string{"credentials", "list", "-x"}, "there is no flag -x here"},
		{"field as a flag", []string{"credentials", "put", "acme/main", "--api_key=" + marker}, "without dashes"},
		{"field as a short flag", []string{"credentials", "put", "acme/main", "-k=" + marker}, "without dashes"},
		{"broken flag", []string{"credentials", "put", "--=" + marker}, "a flag cannot be read"},
		{"flag without value", []string{"run", "--config"}, "flag --config needs a value"},
		{"bool with a value", []string{"credentials", "put", "--replace=" + marker}, "flag --replace must be true or false"},
		{"duration", []string{"once", "--timeout", "abc"}, "must be a duration such as 90s"},
		{"no time", []string{"once", "--timeout", "0s"}, "must be more than 0"},
		{"output", []string{"credentials", "list", "-o", "yaml"}, "flag --output must be table or json"},
		{"argument of run", []string{"run", "now"}, `takes no arguments, and there is "now"`},
		{"show without ID", []string{"credentials", "show"}, "TENANT/NAME is missing"},
		{"show with two", []string{"credentials", "show", "a/b", "c/d"}, `one argument too many: "c/d"`},
		{"no slash", []string{"credentials", "show", "acme"}, "want tenant/name"},
		{"capitals", []string{"credentials", "show", "acme/Main"}, `name "Main" is not valid`},
		{"dots", []string{"credentials", "show", "../main"}, `tenant ".." is not valid`},
		{"escape codes", []string{"credentials", "show", "acme/\x1b[31m"}, `"\x1b[31m" is not valid`},
		{"put without ID", []string{"credentials", "put", "api_key=" + marker, "acme/main"}, "the first argument must be TENANT/NAME"},
		{"put with nothing", []string{"credentials", "put", "acme/main"}, "there is nothing to store"},
		{"put without equals sign", []string{"credentials", "put", "acme/main", "provider=kibo", marker}, "field argument 2 is not FIELD=VALUE"},
		{"put with a value for a name", []string{"credentials", "put", "acme/main", "S3CR3T" + marker + "=="}, "is not a field's name"},
		{"put the same twice", []string{"credentials", "put", "acme/main", "api_key=" + marker, "api_key=b"}, `field "api_key" is given twice`},
		{"import without file", []string{"credentials", "import"}, "FILE (- for standard input) is missing"},
		{"import both", []string{"credentials", "import", "x", "--replace", "--skip-existing"}, "exclude each other"},
		{"delete unasked", []string{"credentials", "delete", "acme/main"}, "say --yes"},
		{"pause nothing", []string{"credentials", "pause"}, "TENANT/NAME is missing"},
		{"status", []string{"credentials", "list", "--status", "expred"}, `"expred" is no status; did you mean expired?`},
		{"tenant", []string{"credentials", "list", "--tenant", "a b"}, `tenant "a b" is not valid`},
		{"setup with a word", []string{"vault", "setup", "kubernetes"}, `takes no arguments, and there is "kubernetes"`},
		{"setup with another login", []string{"vault", "setup", "--auth", "jwt"}, "flag --auth must be none, kubernetes or approle"},
		{"setup for everybody", []string{"vault", "setup", "--auth=kubernetes", "--kubernetes-namespace=*"}, "name each"},
		{"unknown policy", []string{"vault", "policy", "readr"}, "did you mean reader?"},
		{"policy of no ID", []string{"vault", "policy", "reader", "--id", "acme"}, "want tenant/name"},
		{"fields of nobody", []string{"credentials", "fields", "kybo"}, `"kybo" is not known; known are checkfront, bookeo`},
		{"fields of no method", []string{"credentials", "fields", "kibo", "basic"}, "its methods are client_credentials"},
		{"fields of three", []string{"credentials", "fields", "a", "b", "c"}, "one argument too many"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := (&world{t: t}).must(ExitUsage, tc.args...)
			contains(t, r.err, tc.want, "refresher: ", "--help\" for help.\n")
			if r.out != "" {
				t.Errorf("standard output is not for errors:\n%s", r.out)
			}
			if n := strings.Count(r.err, "\n"); n != 2 {
				t.Errorf("%d lines, not 2:\n%s", n, r.err)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"", "run", "once", "doctor", "version", "config", "config check", "config print", "config reference",
		"vault", "vault setup", "vault policy", "vault escrow-key",
		"credentials", "credentials list", "credentials show", "credentials fields", "credentials put", "credentials import",
		"credentials delete", "credentials pause", "credentials resume", "credentials renew",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &world{t: t}
			args := strings.Fields(name)
			byFlag := w.must(ExitOK, append(args, "--help")...)
			byCommand := w.must(ExitOK, append([]string{"help"}, args...)...)
			if byFlag != byCommand {
				t.Errorf("--help and help differ:\n%s\n%s", byFlag.out, byCommand.out)
			}
			contains(t, byFlag.out, "Usage:", "Examples:")
			golden(t, "help/"+strings.ReplaceAll(strings.TrimSpace("refresher "+name), " ", "_"), byFlag.out)
		})
	}
}

func TestGroupsShowTheirHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"credentials"}, {"config"}, {"vault"}} {
		r := (&world{t: t}).must(ExitOK, args...)
		contains(t, r.out, "Available Commands:")
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	w := &world{t: t}
	contains(t, w.must(ExitOK, "completion", "bash").out, "__start_refresher")
	contains(t, w.must(ExitOK, "__complete", "credentials", "list", "--status", "").out, "needs_authorization")
	contains(t, w.must(ExitOK, "__complete", "credentials", "list", "-o", "").out, "json")
	contains(t, w.must(ExitOK, "__complete", "credentials", "show", "").out, ":4") // no file names
}
