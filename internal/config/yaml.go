package config

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// yaml reads a file's contents and reports whether they are one YAML document
// with keys and values, right or wrong ones.
func (l *loader) yaml(name string, data []byte) bool {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	source := Source("file " + plain(name))
	var doc, second yaml.Node
	err := decoder.Decode(&doc)
	if errors.Is(err, io.EOF) {
		l.problem("", source, "is empty: write {} to leave everything at its default, or name no file")
		return false
	}
	if err != nil {
		l.notYAML(name, data, err)
		return false
	}
	if err := decoder.Decode(&second); err == nil {
		l.problem("", fileSource(name, second.Line), "a second document begins here: there must be one only")
		return false
	} else if !errors.Is(err, io.EOF) {
		l.notYAML(name, data, err)
		return false
	}
	root := resolve(doc.Content[0])
	if root.Kind != yaml.MappingNode {
		l.problem("", fileSource(name, root.Line), "keys with values are expected, and this is %s", describe(root))
		return false
	}
	l.mapping(name, root, l.schema.root)
	return true
}

var (
	yamlLine      = regexp.MustCompile(`line (\d+): `)
	unknownAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
	quoted        = regexp.MustCompile(`'[^']*'|"[^"]*"`)
)

// notYAML reports what the parser says, less what it quotes of the file: a
// password that begins with * is taken for a reference, and would be shown.
func (l *loader) notYAML(name string, data []byte, err error) {
	message, line := strings.TrimPrefix(err.Error(), "yaml: "), 0
	if m := yamlLine.FindStringSubmatch(message); m != nil {
		line, _ = strconv.Atoi(m[1])
		message = strings.Replace(message, m[0], "", 1)
	}
	if m := unknownAnchor.FindStringSubmatch(message); m != nil {
		before, _, _ := bytes.Cut(data, []byte("*"+m[1]))
		line = 1 + bytes.Count(before, []byte("\n"))
		message = "a value that begins with * refers to an anchor, and there is none of that name: quote it if it is text"
	}
	if message == "found character that cannot start any token" {
		message = "a tab, or a value that begins with %, @ or `: indent with spaces, and quote such values"
	}
	source := Source("file " + plain(name))
	if line > 0 {
		source = fileSource(name, line)
	}
	l.problem("", source, "is not YAML: %s", quoted.ReplaceAllString(message, "(…)"))
}

// mapping reads the keys of a section.
func (l *loader) mapping(file string, n *yaml.Node, section *node) {
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := resolve(n.Content[i]), resolve(n.Content[i+1])
		source := fileSource(file, n.Content[i].Line)
		if name.Kind != yaml.ScalarNode || name.ShortTag() == "!!merge" {
			l.problem(section.path, source, "a key must be plain text: merging (<<) and keys that are lists or mappings are not supported")
			continue
		}
		path := join(section.path, plain(name.Value))
		if earlier, ok := lines[name.Value]; ok {
			l.problem(path, source, "is there twice: first in line %d", earlier)
			continue
		}
		lines[name.Value] = n.Content[i].Line
		switch child := section.child(name.Value); {
		case child == nil:
			l.problem(path, source, "%s", l.schema.unknownKey(section, name.Value))
		case child.key != nil:
			l.leaf(child.key, value, source)
		case value.Kind == yaml.MappingNode:
			l.mapping(file, value, child)
		case !isNull(value): // everything below it may be commented out
			l.problem(path, source, "is a section with keys below it, and this is %s", describe(value))
		}
	}
}

// leaf reads the value of a key.
func (l *loader) leaf(k *Key, n *yaml.Node, source Source) {
	if !k.isList() {
		if text, ok := l.scalar(k, n, source); ok {
			l.set(k, []string{text}, source)
		}
		return
	}
	if n.Kind != yaml.SequenceNode {
		l.refuse(k, source, "must be a list such as [a, b], and this is %s", describe(n))
		return
	}
	items := make([]string, 0, len(n.Content))
	for _, item := range n.Content {
		text, ok := l.scalar(k, resolve(item), source)
		if !ok {
			return
		}
		items = append(items, text)
	}
	l.set(k, items, source)
}

// scalar returns the text of a single value as it stands in the file, so that
// a password of digits stays what it is. It refuses what is something else.
func (l *loader) scalar(k *Key, n *yaml.Node, source Source) (string, bool) {
	wantsText := k.elem().Kind() == reflect.String
	switch {
	case isNull(n):
		l.refuse(k, source, "has no value: give it one, or leave the key out")
	case n.Kind != yaml.ScalarNode:
		l.refuse(k, source, "must be a single value, and this is %s", describe(n))
	case n.ShortTag() == "!!bool" && wantsText:
		l.refuse(k, source, "must be text, and this is %s: quote it if it is text", describe(n))
	case !strings.Contains(" !!str !!int !!float !!bool !!timestamp ", " "+n.ShortTag()+" "):
		l.refuse(k, source, "has a tag (!) that is not supported: quote the value if it is text")
	default:
		return n.Value, true
	}
	return "", false
}

// resolve follows a reference (*name) to what it refers to.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// describe says what a node is without showing it.
func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case isNull(n):
		return "nothing"
	case n.ShortTag() == "!!bool":
		return "true or false"
	case n.ShortTag() == "!!int", n.ShortTag() == "!!float":
		return "a number"
	default:
		return "a text"
	}
}
