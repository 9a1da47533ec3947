package config

import (
	"bytes"
	"fmt"
	"io"
	"net/url"
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Print writes the configuration as YAML, with each key's meaning above it and
// where its value came from behind it. A secret shows as "[redacted]", a URL that
// may hold one without the part that is secret. Load accepts what Print wrote if
// nothing in it is redacted.
func Print(w io.Writer, c Config, sources Sources) error {
	s := newSchema()
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(printed(s.root, &c, sources)); err != nil {
		return fmt.Errorf("printing the configuration: %w", err)
	}
	if err := encoder.Close(); err != nil {
		return fmt.Errorf("printing the configuration: %w", err)
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("printing the configuration: %w", err)
	}
	return nil
}

// printed returns a section as a YAML mapping.
func printed(section *node, c *Config, sources Sources) *yaml.Node {
	mapping := &yaml.Node{Kind: yaml.MappingNode}
	for _, child := range section.children {
		name := &yaml.Node{Kind: yaml.ScalarNode, Value: child.name, HeadComment: child.doc}
		if child.key == nil {
			mapping.Content = append(mapping.Content, name, printed(child, c, sources))
			continue
		}
		source := sources[child.path]
		if source == "" {
			source = SourceDefault
		}
		value := child.key.printed(c)
		value.LineComment = string(source)
		mapping.Content = append(mapping.Content, name, value)
	}
	return mapping
}

// printed returns a key's value as YAML.
func (k *Key) printed(c *Config) *yaml.Node {
	v := k.value(c)
	texts := formatAll(v)
	if k.Secret {
		texts[0] = k.redact(texts[0])
	}
	if !k.isList() {
		return k.scalar(texts[0])
	}
	list := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, text := range texts {
		list.Content = append(list.Content, k.scalar(text))
	}
	return list
}

// scalar returns a text as YAML that reads as the same text again.
func (k *Key) scalar(text string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(text)
	if t := k.elem(); t.Kind() != reflect.String {
		n.Tag = "" // a number, a duration or a boolean needs no quotes
	}
	return n
}

var databaseNumber = regexp.MustCompile(`^/?[0-9]*$`)

// redact returns what may be shown of a secret: of a URL, where it leads.
// Anything unusual in it might be a piece of a password, so that nothing is shown.
func (k *Key) redact(text string) string {
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	if !strings.HasSuffix(k.check, "_url") || err != nil || u.Host == "" || u.Fragment != "" || !databaseNumber.MatchString(u.Path) {
		return shownSecret
	}
	at := strings.Count(text, "@")
	if at > 1 || (at == 1) != (u.User != nil) {
		return shownSecret
	}
	user, query := "", ""
	if u.User != nil {
		user = shownSecret + "@"
	}
	if u.RawQuery != "" {
		query = "?" + shownSecret
	}
	if user+query == "" {
		return text // put together anew it might be written in another way
	}
	return u.Scheme + "://" + user + u.Host + u.Path + query
}

// Reference writes all keys as Markdown, a table for each section of the file.
func Reference(w io.Writer) error {
	s := newSchema()
	var b strings.Builder
	for _, section := range s.root.children {
		fmt.Fprintf(&b, "## %s\n\n%s\n\n| key | default | environment | meaning |\n|---|---|---|---|\n", section.name, section.doc)
		for _, k := range s.keys {
			if strings.HasPrefix(k.Path, section.path+".") {
				fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.Path, code(k.Default), code(append([]string{k.Env}, k.Aliases...)...), cell(k.Doc))
			}
		}
		b.WriteString("\n")
	}
	if _, err := io.WriteString(w, strings.TrimSuffix(b.String(), "\n")); err != nil {
		return fmt.Errorf("writing the reference: %w", err)
	}
	return nil
}

// code returns texts as code, those that are not empty.
func code(texts ...string) string {
	var quoted []string
	for _, text := range texts {
		if text != "" {
			quoted = append(quoted, "`"+text+"`")
		}
	}
	return strings.Join(quoted, ", ")
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
