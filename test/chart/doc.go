// Package chart checks charts/refresher as far as that needs no cluster: what it
// renders for each of its ci values files (golden manifests, Kubernetes's own
// schemas, the service's own check of its configuration), what it refuses, and that
// schema, documentation and values agree. test/cluster installs it on a real API server.
//
// It needs bin/helm, bin/kubeconform, bin/helm-docs and bin/refresher, which "make
// tools-chart build" leaves. "go test -update ./..." writes the golden files and the
// chart's README.md.
package chart
