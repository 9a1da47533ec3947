// Package config is the configuration of the service: its keys, their defaults
// and meaning, how they are read, checked and shown.
//
// The struct Config is the one place where a key is declared. Its tags say
// everything, and the file, the environment, the flags, the documentation and
// the checks of single values follow from them by reflection. A new key is one line:
//
//	Workers int `yaml:"workers" default:"32" min:"1" doc:"How many renewals run at once."`
//
//	yaml      the last part of the key's path, in snake_case; ",inline" for an embedded struct
//	default   the value when nobody says anything, written as in the environment
//	doc       what the key means, for a person
//	env       other environment variables that mean the same, separated by spaces
//	min, max  the limits of a number or a duration, both included
//	oneof     the words that are allowed, separated by spaces
//	check     the name of a check of the text, see checks.go; with ",filled" it can't be empty
//	defaults  on an embedded struct: other defaults for its keys, as "rate=10 burst=20"
//
// What concerns several keys at once is a rule in rules.go.
//
// Every key can come from a YAML file, from an environment variable (REFRESHER_
// and the path in capitals joined by "_") and from --set path=value. The later
// of these wins:
//
//	defaults < file < environment (an alias such as VAULT_ADDR < the REFRESHER_ name) < --set
//
// Load reads all of them and either returns a configuration in which everything
// is right, or a Problems error that lists everything that is wrong, with the
// file and line, variable or flag that it came from. Secrets are of type
// credential.Secret, and no error and no output of this package shows one.
package config

//go:generate sh -c "cat configuration.md >../../docs/configuration.md && go run ../../cmd/refresher config reference >>../../docs/configuration.md"
