package setup

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// object is something in Vault that is read and written at one path.
type object struct {
	what     string
	path     string
	commands []string
	// want are fields and their values: string, bool, int or []string.
	want map[string]any
	// hidden are written with them and cannot be read back; proof is what Vault
	// says of itself when they are there.
	hidden, proof map[string]any
	// leave means that others may rely on what is there: it is created, not changed.
	leave bool
}

// step is the step that has the object be there as it is wanted.
func (o object) step() step { return step{what: o.what, commands: o.commands, ensure: o.ensure} }

func (o object) ensure(ctx context.Context, v Vault) (Result, error) {
	have, err := v.ReadPath(ctx, o.path)
	if err != nil {
		return Result{}, err
	}
	result := Result{State: Created}
	if have != nil {
		differs := append(differing(o.want, have), differing(o.proof, have)...)
		detail := strings.Join(differs, ", ")
		switch {
		case len(differs) == 0:
			return Result{State: Unchanged}, nil
		case o.leave:
			return Result{State: Unchanged, Problem: "it differs in " + detail + ". Others may rely on it, so it is left alone"}, nil
		}
		result = Result{State: Changed, Detail: detail}
	}
	body := maps.Clone(o.want)
	maps.Copy(body, o.hidden)
	_, err = v.WritePath(ctx, o.path, body)
	return result, err
}

// differing returns the names of the fields that are not as they are wanted.
func differing(want, have map[string]any) []string {
	var names []string
	for _, name := range sortedKeys(want) {
		if plain(have[name]) != plain(want[name]) {
			names = append(names, name)
		}
	}
	return names
}

// plain writes a value as it is said on a command line, which is also how values
// are compared: the order of a list means nothing, and a missing one is empty.
func plain(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return strings.TrimSpace(v)
	case bool:
		return strconv.FormatBool(v)
	case []string:
		return strings.Join(slices.Sorted(slices.Values(v)), ",")
	case []any:
		texts := make([]string, 0, len(v))
		for _, item := range v {
			texts = append(texts, plain(item))
		}
		return plain(texts)
	default:
		return fmt.Sprint(v)
	}
}

// typeOf returns the type of what is mounted at a path; empty if nothing is.
func typeOf(mounts map[string]any, path string) string {
	about, _ := mounts[path+"/"].(map[string]any)
	kind, _ := about["type"].(string)
	return kind
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
