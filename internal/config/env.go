package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// environment reads the variable of every key, and its aliases where that is not set.
func (l *loader) environment(env func(string) (string, bool)) {
	for i := range l.schema.keys {
		k := &l.schema.keys[i]
		for _, name := range append([]string{k.Env}, k.Aliases...) {
			if text, ok := env(name); ok && text != "" {
				l.setText(k, text, envSource(name))
				break
			}
		}
	}
}

// serviceLink matches the variables that Kubernetes puts into pods for a Service
// named refresher or refresher-something.
var serviceLink = regexp.MustCompile(`^REFRESHER_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)=|` +
	`^REFRESHER_([A-Z0-9_]+_)?PORT=(tcp|udp|sctp)://`)

// strangers refuses variables that look like ours and mean nothing.
func (l *loader) strangers(environ []string) {
	known := []string{envFile}
	for _, k := range l.schema.keys {
		known = append(known, k.Env)
	}
	unknown := map[string]bool{}
	for _, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, envPrefix) && text != "" && !slices.Contains(known, name) && !serviceLink.MatchString(entry) {
			unknown[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(unknown)) {
		l.problem("", envSource(name), "unknown variable%s", didYouMean(nearestVariable(name, known)))
	}
}

// nearestVariable is nearest without the prefix that all have in common.
func nearestVariable(name string, known []string) string {
	short := make([]string, len(known))
	for i, k := range known {
		short[i] = strings.TrimPrefix(k, envPrefix)
	}
	near := nearest(strings.TrimPrefix(name, envPrefix), short)
	if near == "" {
		return ""
	}
	return envPrefix + near
}

// lookup returns the look-up of a variable in a list of "NAME=value".
func lookup(environ []string) func(string) (string, bool) {
	vars := make(map[string]string, len(environ))
	for _, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		vars[name] = text
	}
	return func(name string) (string, bool) {
		text, ok := vars[name]
		return text, ok
	}
}
