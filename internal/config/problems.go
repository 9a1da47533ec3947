package config

import (
	"fmt"
	"strings"
)

// Problem is one thing that is wrong.
type Problem struct {
	// Path is the key or section, empty if it is about a whole file or variable.
	Path string
	// Source is where it was said.
	Source Source
	// Message says what is wrong and what to do, without repeating a secret.
	Message string
}

// String returns the problem in one line; one of a file begins with "file:line:".
func (p Problem) String() string {
	parts := make([]string, 0, 3)
	if p.Source != SourceDefault {
		parts = append(parts, strings.TrimPrefix(string(p.Source), "file "))
	}
	if p.Path != "" && !strings.HasPrefix(p.Message, p.Path+" ") {
		parts = append(parts, p.Path)
	}
	return strings.Join(append(parts, p.Message), ": ")
}

// Problems is everything that is wrong with a configuration: what the file says
// in its order, then the environment, the flags, and what does not fit together.
// As an error it shows all of it, one in a line.
type Problems []Problem

// Error implements error.
func (p Problems) Error() string {
	if len(p) == 1 {
		return "configuration: " + p[0].String()
	}
	lines := make([]string, 0, len(p)+1)
	lines = append(lines, fmt.Sprintf("configuration: %d problems", len(p)))
	for _, problem := range p {
		lines = append(lines, "- "+problem.String())
	}
	return strings.Join(lines, "\n")
}

// Source says where a value came from: "default", "file config.yaml:12",
// "env REFRESHER_LOG_LEVEL" or "flag --set".
type Source string

// The sources that have no name of their own.
const (
	SourceDefault Source = "default"
	SourceFlag    Source = "flag --set"
)

// Sources says of each key where its value came from, by path.
type Sources map[string]Source

func fileSource(name string, line int) Source {
	return Source(fmt.Sprintf("file %s:%d", plain(name), line))
}

func envSource(name string) Source { return Source("env " + plain(name)) }

// plain keeps a name in one line.
func plain(name string) string {
	if quoted := fmt.Sprintf("%q", name); quoted != `"`+name+`"` {
		return quoted
	}
	return name
}
