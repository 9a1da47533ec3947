// Package cli is the program "refresher": its commands, what they print, and
// how they end.
//
// Main runs one command. All that it reads and writes, the clock and the person at
// the terminal come in an Env, so that a test runs the whole program in a goroutine:
//
//	code := cli.Main(ctx, cli.Env{Args: []string{"credentials", "list"}, Stdout: &out, Stderr: &errs, …})
//
// # Exit codes
//
//	0  it went well
//	1  it failed; standard error says why
//	2  the command line cannot be understood
//
// # What is never printed
//
// No secret of a stored document, of the configuration or of the command line
// is printed, also not in the message about a mistake: an argument that may hold a
// secret is named by its place. What others stored is printed without the
// characters that would move a terminal's cursor.
//
// # Who acts
//
// "run", "once" and "doctor" log in to Vault as the service does. The commands
// below "credentials" and "vault" act with the caller's own token.
package cli
