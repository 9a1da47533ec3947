package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"refresher/internal/config"
)

func (p *program) configCommand() *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "config",
		Short: "Check, print and describe the configuration",
		Long: `The configuration comes from defaults, a YAML file (--config or
REFRESHER_CONFIG), environment variables and --set; the later wins. Every key is
also a variable: REFRESHER_ and its path in capitals, joined by "_".`,
		Example: `  refresher config check --config refresher.yaml
  REFRESHER_LOG_LEVEL=debug refresher config print
  refresher config reference > configuration.md`,
	})
	cmd.AddCommand(p.configCheckCommand(), p.configPrintCommand(), p.configReferenceCommand())
	return cmd
}

func (p *program) configCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Say everything that is wrong with the configuration",
		Long: `Say everything that is wrong with the configuration, at once. Nothing is
connected to: "refresher doctor" does that.`,
		Example: "  refresher config check --config refresher.yaml",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			c, sources, err := p.load()
			if err != nil {
				return err
			}
			for _, warning := range warnings(c, sources) {
				p.say("warning: %s", warning)
			}
			p.say("ok")
			return nil
		},
	}
}

// warnings are what is unwise, and what is missing before the service can start.
// That may come from elsewhere when it does: a file in a repository has no token.
func warnings(c config.Config, sources config.Sources) config.Problems {
	all := config.Warnings(c, sources)
	if missing, ok := errors.AsType[config.Problems](c.RequireVault()); ok {
		all = append(all, missing...)
	}
	return all
}

func (p *program) configPrintCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "print",
		Short:   "Print every key with its value and where that came from",
		Long:    "Print the effective configuration as YAML, with where each value came from. Secrets are redacted.",
		Example: "  refresher config print\n  refresher config print --config refresher.yaml | grep -v '# default$'",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			c, sources, err := p.load()
			if err != nil {
				return err
			}
			return config.Print(p.Stdout, c, sources)
		},
	}
}

func (p *program) configReferenceCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "reference",
		Short:   "Describe every key, in Markdown",
		Example: "  refresher config reference > configuration.md",
		Args:    noArgs,
		RunE:    func(*cobra.Command, []string) error { return config.Reference(p.Stdout) },
	}
}
