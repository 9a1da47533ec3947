package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
)

// maxFile is far more than a configuration needs.
const maxFile = 1 << 20

// Options says where Load looks.
type Options struct {
	// File is the configuration file. Empty: what REFRESHER_CONFIG names, or none.
	File string
	// Env looks up an environment variable; nil: in Environ.
	Env func(string) (string, bool)
	// Environ is the whole environment as "NAME=value", in which unknown
	// REFRESHER_ variables are errors; nil: nobody looks for them.
	Environ []string
	// Sets are "path=value" as --set gives them. The last of the same path wins.
	Sets []string
}

// Load reads the configuration from defaults, file, environment and sets, each
// of which wins over those before. An empty variable counts as not set. It
// returns the configuration and where each value came from, or a Problems error
// with everything that is wrong; then the configuration is not to be used.
//
// What the service needs beside that to talk to Vault is not asked for here:
// see Config.RequireVault.
func Load(o Options) (Config, Sources, error) {
	if o.Env == nil {
		o.Env = lookup(o.Environ)
	}
	if name, ok := o.Env(envFile); ok && o.File == "" {
		o.File = name
	}
	l := newLoader()
	read := l.file(o.File)
	l.environment(o.Env)
	l.strangers(o.Environ)
	l.flags(o.Sets)
	if read {
		l.rules()
	}
	if len(l.problems) > 0 {
		return Config{}, nil, l.problems
	}
	return l.config, l.sources, nil
}

// Default returns the configuration in which nothing is set.
func Default() Config { return newLoader().config }

// loader collects the values of all sources, and what is wrong with them.
type loader struct {
	schema   *schema
	config   Config
	sources  Sources
	problems Problems
	// broken are the keys of which a value was refused.
	broken map[string]bool
}

// newLoader returns a loader that has read the defaults.
func newLoader() *loader {
	l := &loader{schema: newSchema(), sources: Sources{}, broken: map[string]bool{}}
	for i := range l.schema.keys {
		k := &l.schema.keys[i]
		l.sources[k.Path] = SourceDefault
		if k.Default != "" {
			l.setText(k, k.Default, SourceDefault)
		}
	}
	return l
}

func (l *loader) problem(path string, source Source, format string, args ...any) {
	l.problems = append(l.problems, Problem{Path: path, Source: source, Message: fmt.Sprintf(format, args...)})
}

// refuse is problem for a value of a key.
func (l *loader) refuse(k *Key, source Source, format string, args ...any) {
	l.broken[k.Path] = true
	l.problem(k.Path, source, format, args...)
}

// setText sets a key from one text, as it stands in the environment or after --set.
func (l *loader) setText(k *Key, text string, source Source) {
	if !k.isList() {
		l.set(k, []string{text}, source)
		return
	}
	var items []string
	if strings.TrimSpace(text) != "" {
		for item := range strings.SplitSeq(text, ",") {
			items = append(items, strings.TrimSpace(item))
		}
	}
	l.set(k, items, source)
}

// set sets a key from the texts of its values: one, or those of a list.
func (l *loader) set(k *Key, texts []string, source Source) {
	if err := k.acceptAll(texts); err != nil {
		l.refuse(k, source, "%s", err)
		return
	}
	values, accepted := reflect.MakeSlice(reflect.SliceOf(k.elem()), 0, len(texts)), true
	for i, text := range texts {
		v, err := parseText(k.elem(), text)
		if err == nil {
			err = k.acceptText(text, v)
		}
		if err != nil {
			l.refuse(k, source, "%s%s", k.shown(text, i), err)
			accepted = false
			continue
		}
		values = reflect.Append(values, v)
	}
	if !accepted {
		return
	}
	l.sources[k.Path] = source
	if k.isList() {
		k.value(&l.config).Set(values)
		return
	}
	k.value(&l.config).Set(values.Index(0))
}

// shown begins a message with the value that was refused, if it may be shown.
// Else it is counted, in a list.
func (k *Key) shown(text string, i int) string {
	switch {
	case !k.Secret && mayShow(text):
		return fmt.Sprintf("%q ", text)
	case k.isList():
		return fmt.Sprintf("entry %d ", i+1)
	default:
		return ""
	}
}

// mayShow refuses what is or looks like a URL, since it may hold a password.
func mayShow(text string) bool {
	return len(text) <= 60 && !strings.Contains(text, "://") && strings.LastIndex(text, "@") <= 0
}

// flags reads what --set gives.
func (l *loader) flags(sets []string) {
	for i, set := range sets {
		path, text, ok := strings.Cut(set, "=")
		n := l.schema.byPath[path]
		switch {
		case !ok: // not repeated: the whole of it may be a secret
			l.problem("", SourceFlag, "number %d is not path=value", i+1)
		case n == nil:
			l.problem(plain(path), SourceFlag, "%s", l.schema.unknownPath(path))
		case n.key == nil:
			l.problem(path, SourceFlag, "is a section: set one of its keys, such as %s", l.schema.firstKey(path))
		default:
			l.setText(n.key, text, SourceFlag)
		}
	}
}

// firstKey returns the first key below a section.
func (s *schema) firstKey(section string) string {
	for _, k := range s.keys {
		if strings.HasPrefix(k.Path, section+".") {
			return k.Path
		}
	}
	return section
}

// file reads the configuration file, if there is one, and reports whether
// there is nothing that kept it from being read.
func (l *loader) file(name string) bool {
	if name == "" {
		return true
	}
	source := Source("file " + plain(name))
	f, err := os.Open(name)
	if err != nil {
		l.problem("", source, "cannot be opened: %s", cause(err))
		return false
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		l.problem("", source, "cannot be read: %s", cause(err))
		return false
	case len(data) > maxFile:
		l.problem("", source, "is larger than 1 MiB")
		return false
	}
	return l.yaml(name, data)
}

// cause leaves out the file's name, which the problem's source says.
func cause(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}
