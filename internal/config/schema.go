package config

import (
	"fmt"
	"reflect"
	"strings"

	"refresher/internal/credential"
)

// envPrefix starts the name of every environment variable of ours.
const envPrefix = "REFRESHER_"

// envFile names the configuration file. It is no key, since it can't stand in the file.
const envFile = envPrefix + "CONFIG"

// Key describes one setting.
type Key struct {
	// Path is where it stands in the file, such as "renewal.in_flight_bound".
	Path string
	// Env is its environment variable.
	Env string
	// Aliases are other variables that mean the same. Env wins over them.
	Aliases []string
	// Default is its default as it would be written in the environment.
	Default string
	// Doc says what it means, and what is allowed.
	Doc string
	// Secret says that its value is never shown.
	Secret bool

	index    []int
	typ      reflect.Type
	min, max string
	oneOf    []string
	check    string
	filled   bool
}

// Keys returns all settings, in the order in which they are declared.
func Keys() []Key { return newSchema().keys }

// node is a key, or a section of the file that holds others.
type node struct {
	name, path, doc string
	key             *Key
	children        []*node
}

func (n *node) child(name string) *node {
	for _, c := range n.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

// schema is Config as its tags describe it.
type schema struct {
	root   *node
	keys   []Key
	byPath map[string]*node
}

func newSchema() *schema {
	s := &schema{root: &node{}, byPath: map[string]*node{}}
	s.section(s.root, reflect.TypeFor[Config](), nil, nil)
	return s
}

// section adds the fields of a struct to a node. The defaults given override
// those of the fields' own tags.
func (s *schema) section(parent *node, t reflect.Type, index []int, defaults map[string]string) {
	for i := range t.NumField() {
		field := t.Field(i)
		at := append(append([]int(nil), index...), i)
		name, inline := yamlName(field)
		if inline {
			s.section(parent, field.Type, at, pairs(field.Tag.Get("defaults")))
			continue
		}
		child := &node{name: name, path: join(parent.path, name), doc: field.Tag.Get("doc")}
		parent.children = append(parent.children, child)
		s.byPath[child.path] = child
		if field.Type.Kind() == reflect.Struct {
			s.section(child, field.Type, at, nil)
			continue
		}
		child.key = newKey(child.path, field, at, defaults[name])
		child.doc = child.key.Doc
		s.keys = append(s.keys, *child.key)
	}
}

func newKey(path string, field reflect.StructField, index []int, override string) *Key {
	tag := field.Tag
	k := &Key{
		Path:    path,
		Env:     envPrefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_")),
		Aliases: strings.Fields(tag.Get("env")),
		Default: tag.Get("default"),
		Doc:     tag.Get("doc"),
		Secret:  field.Type == reflect.TypeFor[credential.Secret](),
		index:   index,
		typ:     field.Type,
		min:     tag.Get("min"),
		max:     tag.Get("max"),
		oneOf:   strings.Fields(tag.Get("oneof")),
	}
	check, option, _ := strings.Cut(tag.Get("check"), ",")
	k.check, k.filled = check, option == "filled"
	if override != "" {
		k.Default = override
	}
	k.Doc = strings.TrimSpace(k.Doc + " " + k.allowed())
	return k
}

// allowed says in a sentence which values the tags permit.
func (k *Key) allowed() string {
	switch {
	case len(k.oneOf) > 0:
		return fmt.Sprintf("One of %s.", strings.Join(k.oneOf, ", "))
	case k.min != "" && k.max != "":
		return fmt.Sprintf("From %s to %s.", k.min, k.max)
	case k.min != "" && k.min != "0s":
		return fmt.Sprintf("At least %s.", k.min)
	default:
		return ""
	}
}

// isList reports whether the key holds several values.
func (k *Key) isList() bool { return k.typ.Kind() == reflect.Slice }

// elem is the type of the key's value, or of each value of a list.
func (k *Key) elem() reflect.Type {
	if k.isList() {
		return k.typ.Elem()
	}
	return k.typ
}

// value returns the key's field of a Config, which can be set.
func (k *Key) value(c *Config) reflect.Value {
	return reflect.ValueOf(c).Elem().FieldByIndex(k.index)
}

// yamlName returns a field's name in the file, and whether its own fields stand in its place.
func yamlName(field reflect.StructField) (name string, inline bool) {
	name, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
	return name, options == "inline"
}

func join(parent, name string) string {
	if parent == "" {
		return name
	}
	return parent + "." + name
}

// pairs reads "a=1 b=2".
func pairs(text string) map[string]string {
	m := make(map[string]string)
	for field := range strings.FieldsSeq(text) {
		name, value, _ := strings.Cut(field, "=")
		m[name] = value
	}
	return m
}
