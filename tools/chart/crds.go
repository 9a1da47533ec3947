// Package chart holds the versions of what the checks of charts/refresher need:
// Helm, kubeconform and helm-docs as tool lines in go.mod, and the
// prometheus-operator for the CustomResourceDefinitions in its module, of which
// nothing is compiled.
package chart

import _ "github.com/prometheus-operator/prometheus-operator/pkg/versionutil" // for go.sum: test/chart reads the module's YAML
