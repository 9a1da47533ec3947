package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"refresher/internal/credential"
)

// maxImport bounds the size of a file that is imported.
const maxImport = 64 << 20

// record is one credential of an import file.
type record struct {
	// place is its number and line, for a message.
	place string
	id    credential.ID
	// fields are all fields but tenant and name. Their values may be secret.
	fields   map[string]string
	problems []string
	// refused are fields of which the value was refused.
	refused map[string]bool
}

// label names a record in a message.
func (r record) label() string {
	if r.id.Tenant == "" {
		return r.place
	}
	return r.place + " " + r.id.String()
}

// parseImport reads credentials from YAML or JSON: a list of them, or an object
// with that list as "credentials". An error is about the file as a whole; what is
// wrong with a credential is in its record. Neither shows a value.
func parseImport(data []byte) ([]record, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(jsonAsYAML(data)))
	var doc, second yaml.Node
	err := decoder.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the file is empty")
	}
	if err != nil {
		return nil, notYAML(err)
	}
	if err := decoder.Decode(&second); err == nil {
		return nil, fmt.Errorf("line %d: a second document begins here: put all credentials into one list", second.Line)
	} else if !errors.Is(err, io.EOF) {
		return nil, notYAML(err)
	}
	list, err := credentialList(resolve(doc.Content[0]))
	if err != nil {
		return nil, err
	}
	records := make([]record, 0, len(list.Content))
	for i, item := range list.Content {
		records = append(records, parseRecord(i, resolve(item)))
	}
	if len(records) == 0 {
		return nil, errors.New("the file holds no credentials")
	}
	return records, nil
}

// credentialList finds the list of credentials.
func credentialList(root *yaml.Node) (*yaml.Node, error) {
	if root.Kind == yaml.SequenceNode {
		return root, nil
	}
	const want = `a list of credentials is expected, or "credentials:" with one`
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: %s", root.Line, want)
	}
	var list *yaml.Node
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], resolve(root.Content[i+1])
		if key.Value != "credentials" || list != nil || value.Kind != yaml.SequenceNode {
			return nil, fmt.Errorf("line %d: %s, and nothing else beside it", key.Line, want)
		}
		list = value
	}
	if list == nil {
		return nil, errors.New("the file holds no credentials")
	}
	return list, nil
}

func parseRecord(index int, n *yaml.Node) record {
	r := record{place: fmt.Sprintf("credentials[%d] (line %d)", index, n.Line), fields: map[string]string{}, refused: map[string]bool{}}
	if n.Kind != yaml.MappingNode {
		r.problems = append(r.problems, "is not made of fields with values")
		return r
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], resolve(n.Content[i+1])
		text, problem := scalar(value)
		switch {
		case key.Kind != yaml.ScalarNode || !isFieldName(key.Value):
			problem = fmt.Sprintf("line %d: a field's name is made of a-z, 0-9 and _", key.Line)
		case seen[key.Value]:
			problem = fmt.Sprintf("line %d: field %q is there twice", key.Line, key.Value)
		case problem != "":
			problem = fmt.Sprintf("line %d: field %q %s", value.Line, key.Value, problem)
		}
		if problem != "" {
			r.problems = append(r.problems, problem)
			r.refused[key.Value] = true
			continue
		}
		seen[key.Value] = true
		r.fields[key.Value] = text
	}
	r.identify()
	return r
}

// identify takes the tenant and the name out of the fields.
func (r *record) identify() {
	tenant, name := r.fields["tenant"], r.fields["name"]
	delete(r.fields, "tenant")
	delete(r.fields, "name")
	var missing bool
	for _, f := range []struct{ what, value string }{{"tenant", tenant}, {"name", name}} {
		if f.value != "" {
			continue
		}
		missing = true
		if !r.refused[f.what] {
			r.problems = append(r.problems, missingField(f.what))
		}
	}
	if missing {
		return
	}
	id, err := credential.NewID(tenant, name)
	if err != nil {
		r.problems = append(r.problems, clean(err.Error()))
		return
	}
	r.id = id
}

// missingField is how the registry says that a field is missing.
func missingField(name string) string { return fmt.Sprintf("field %q is missing", name) }

// scalar returns a value's text as it stands in the file, so that a key made of
// digits stays what it is.
func scalar(n *yaml.Node) (text, problem string) {
	switch {
	case n.Kind == yaml.SequenceNode:
		return "", "is a list: every field must be text"
	case n.Kind == yaml.MappingNode:
		return "", "is an object: every field must be text"
	case n.ShortTag() == "!!null" || n.Value == "":
		return "", "is empty: leave it out"
	case !strings.Contains(" !!str !!int !!float !!bool !!timestamp ", " "+n.ShortTag()+" "):
		return "", "begins with a tag (!): put it in quotes if it is text"
	}
	return n.Value, ""
}

func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

var (
	yamlLine = regexp.MustCompile(`line \d+: `)
	quoted   = regexp.MustCompile(`'[^']*'|"[^"]*"`)
)

// notYAML returns what the parser says, less what it quotes of the file: a
// password that begins with * is taken for a reference, and would be shown.
func notYAML(err error) error {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	line := yamlLine.FindString(message)
	message = strings.Replace(message, line, "", 1)
	switch {
	case strings.HasPrefix(message, "unknown anchor"):
		message = "a value that begins with * refers to an anchor, and there is none of that name: put it in quotes if it is text"
	case message == "found character that cannot start any token":
		message = "a tab, or a value that begins with %, @ or `: indent with spaces, and put such values in quotes"
	}
	return errors.New(line + "the file is not YAML or JSON: " + quoted.ReplaceAllString(message, "(…)"))
}

// jsonAsYAML returns JSON in a form that a YAML parser takes, line by line the
// same: without tabs between its parts, and without the escapes that YAML does
// not know: the slash, and the pairs for what is beyond 16 bits. Anything else it
// leaves alone.
func jsonAsYAML(data []byte) []byte {
	if !json.Valid(data) {
		return data
	}
	out := make([]byte, 0, len(data))
	for i := 0; i < len(data); i++ {
		switch {
		case data[i] == '\t': // inside a string it would not be valid
			out = append(out, ' ')
		case data[i] == '\\':
			if r := surrogates(data[i:]); r != 0 {
				out = utf8.AppendRune(out, r)
				i += len(`\ud83d\ude00`) - 1
				continue
			}
			if i++; data[i] != '/' { // YAML has no escape for what needs none
				out = append(out, '\\')
			}
			out = append(out, data[i])
		default:
			out = append(out, data[i])
		}
	}
	return out
}

// surrogates returns the character of a pair of escapes at the beginning of
// text, 0 if there is none.
func surrogates(text []byte) rune {
	if len(text) < 12 || text[1] != 'u' || text[6] != '\\' || text[7] != 'u' {
		return 0
	}
	high, err1 := strconv.ParseUint(string(text[2:6]), 16, 16)
	low, err2 := strconv.ParseUint(string(text[8:12]), 16, 16)
	if err1 != nil || err2 != nil {
		return 0
	}
	if r := utf16.DecodeRune(rune(high), rune(low)); r != utf8.RuneError {
		return r
	}
	return 0
}
