// Package cluster checks the chart on a real Kubernetes: etcd, kube-apiserver and
// kube-controller-manager, with a real Vault and a real Redis beside them.
//
// What Kubernetes does with a chart is decided by three parties. The API server
// validates and admits objects (Pod Security at the restricted level, RBAC, tokens of
// service accounts), and its controllers make pods, claims and endpoints of them; both
// are the real ones, built by "make chart-test" from tools/kube. A scheduler and a
// kubelet then run the pods, which needs a machine to itself. Here the type node stands
// for these two. It runs the pods that the API server has stored, and nothing it made
// up: the container's command, with its environment, its volumes at their places, its
// user and groups, no capability and a read-only root, in namespaces of its own; it
// asks the container's probes and reports what they answer. Objects that it does not
// know how to honour fail the test. So "helm install --wait" and "helm test" end when
// the service works, and only then.
//
// The node honours no limits of resources, no seccomp profile and no NetworkPolicy, and
// it pulls no image: a container of the image "refresher" runs bin/refresher, alone in
// its root, as the Dockerfile has it.
package cluster
