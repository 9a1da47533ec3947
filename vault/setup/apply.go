package setup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// State is what became of a thing.
type State string

// The states of a Result.
const (
	// Created means that it was not there.
	Created State = "created"
	// Changed means that it was there, and otherwise than it should be.
	Changed State = "changed"
	// Unchanged means that it was as it should be, or was left alone.
	Unchanged State = "unchanged"
)

// Result is what became of one thing of a plan.
type Result struct {
	// What it is, for a person.
	What  string
	State State
	// Detail is which fields were changed, or what a person needs to know; it is
	// no secret.
	Detail string
	// Problem is what is wrong and was left alone, because others may rely on it.
	Problem string
}

// String returns the result as one line.
func (r Result) String() string {
	text := fmt.Sprintf("%-9s  %s", r.State, r.What)
	if r.Detail != "" {
		text += ": " + r.Detail
	}
	return text
}

// Problems are what a plan found wrong and left alone.
type Problems []string

// Error says all of them.
func (p Problems) Error() string { return strings.Join(p, "\n") }

// Apply carries the plan out and reports each thing when it is done. It stops at
// the first that fails: what is done stays, and applying the plan again goes on
// from there. If all is done but something was left alone, the error is Problems.
func (p *Plan) Apply(ctx context.Context, v Vault, report func(Result)) error {
	var problems Problems
	for _, s := range p.steps {
		r, err := s.ensure(ctx, v)
		if err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
		r.What = s.what
		report(r)
		if r.Problem != "" {
			problems = append(problems, s.what+": "+r.Problem)
		}
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}

// Print writes the plan as a script for a POSIX shell that does the same by commands of
// the vault program. It can be run again, as the plan can be applied again.
func (p *Plan) Print(w io.Writer) error {
	var b strings.Builder
	b.WriteString(opening)
	for _, s := range p.steps {
		fmt.Fprintf(&b, "\n# %s\n%s\n", s.what, strings.Join(s.commands, "\n"))
	}
	b.WriteString(closing)
	if _, err := io.WriteString(w, b.String()); err != nil {
		return errors.Join(errors.New("print the plan"), err)
	}
	return nil
}

// quoted writes a word for a shell.
func quoted(word string) string {
	const plainly = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%"
	if word != "" && strings.Trim(word, plainly) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
