package vault

import (
	"fmt"
	"time"

	"refresher/internal/credential"
)

// fields builds and takes apart the data of a document.
//
// As a reader it remembers the first field that is not what it should be. Its
// errors name the field and never say what it holds: the decoders of
// encoding/json and time would.
type fields struct {
	data map[string]any
	// within is the name of the object that the fields are in, with a dot.
	within string
	err    error
}

func (f *fields) fail(name, want string) {
	if f.err == nil {
		f.err = fmt.Errorf("field %q must be %s", f.within+name, want)
	}
}

// text returns a string, empty if the field is absent.
func (f *fields) text(name string) string {
	v, there := f.data[name]
	s, ok := v.(string)
	if there && !ok {
		f.fail(name, "a string")
	}
	return s
}

func (f *fields) secret(name string) credential.Secret { return credential.Secret(f.text(name)) }

// when returns a time, zero if the field is absent.
func (f *fields) when(name string) time.Time {
	s := f.text(name)
	if s == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	t = t.UTC()
	// In UTC a year may have become one that cannot be written.
	if err != nil || t.Year() < 0 || t.Year() > 9999 {
		f.fail(name, "a time in RFC 3339")
	}
	return t
}

// count returns a number that must be there.
func (f *fields) count(name string) int {
	n, ok := number(f.data[name])
	if !ok || n < 0 {
		f.fail(name, "a whole number")
	}
	return n
}

// countOrNone is count, 0 if the field is absent.
func (f *fields) countOrNone(name string) int {
	if _, there := f.data[name]; !there {
		return 0
	}
	return f.count(name)
}

// flag returns a boolean, false if the field is absent.
func (f *fields) flag(name string) bool {
	v, there := f.data[name]
	b, ok := v.(bool)
	if there && !ok {
		f.fail(name, "true or false")
	}
	return b
}

// texts returns a list of strings, nil if the field is absent or empty.
func (f *fields) texts(name string) []string {
	v, there := f.data[name]
	list, ok := v.([]any)
	if there && !ok {
		f.fail(name, "a list of strings")
	}
	var all []string
	for _, v := range list {
		s, ok := v.(string)
		if !ok {
			f.fail(name, "a list of strings")
		}
		all = append(all, s)
	}
	return all
}

// object returns the fields of an object; ok is false if it is absent.
func (f *fields) object(name string) (inner *fields, ok bool) {
	v, there := f.data[name]
	data, isObject := v.(map[string]any)
	if there && !isObject {
		f.fail(name, "an object")
	}
	return &fields{data: data, within: f.within + name + "."}, isObject
}

// secrets returns a map of secrets, nil if the field is absent or empty.
func (f *fields) secrets(name string) map[string]credential.Secret {
	inner, _ := f.object(name)
	if len(inner.data) == 0 {
		return nil
	}
	all := make(map[string]credential.Secret, len(inner.data))
	for key := range inner.data {
		all[key] = inner.secret(key)
	}
	f.take(inner)
	return all
}

// take adopts the failure of an object's fields.
func (f *fields) take(inner *fields) {
	if f.err == nil {
		f.err = inner.err
	}
}

// setText sets a string unless it is empty: what does not apply is absent.
func (f *fields) setText(name, s string) {
	if s != "" {
		f.data[name] = s
	}
}

func (f *fields) setSecret(name string, s credential.Secret) { f.setText(name, s.Reveal()) }

// setTime sets a time in RFC 3339, in UTC, unless it is zero.
func (f *fields) setTime(name string, t time.Time) {
	if !t.IsZero() {
		f.data[name] = t.UTC().Format(time.RFC3339Nano)
	}
}

// setTexts sets a list of strings unless it is empty.
func (f *fields) setTexts(name string, list []string) {
	if len(list) > 0 {
		f.data[name] = list
	}
}

// setSecrets sets a map of secrets, even an empty one.
func (f *fields) setSecrets(name string, secrets map[string]credential.Secret) {
	all := make(map[string]string, len(secrets))
	for key, secret := range secrets {
		all[key] = secret.Reveal()
	}
	f.data[name] = all
}
