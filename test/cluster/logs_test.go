package cluster

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

// register makes the Node, and serves the containers' logs where it says: that is
// where "kubectl logs" and "helm test --logs" get them, through the API server.
func (n *node) register(ctx context.Context) error {
	secure, err := kube.authority.server(n.name)
	if err != nil {
		return err
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", secure)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", n.serveLog)
	n.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	n.work.Go(func() { _ = n.server.Serve(listener) }) // until it is closed

	if err := n.api.post(ctx, "/api/v1/nodes", map[string]any{"metadata": map[string]any{"name": n.name}}, nil); err != nil {
		return err
	}
	return n.api.patch(ctx, "/api/v1/nodes/"+n.name+"/status", map[string]any{"status": map[string]any{
		"addresses":       []any{map[string]any{"type": "InternalIP", "address": "127.0.0.1"}},
		"daemonEndpoints": map[string]any{"kubeletEndpoint": map[string]any{"Port": listener.Addr().(*net.TCPAddr).Port}},
		"conditions":      []any{map[string]any{"type": "Ready", "status": "True", "reason": "KubeletReady"}},
	}})
}

func (n *node) serveLog(w http.ResponseWriter, r *http.Request) {
	p := n.latest(r.PathValue("pod"))
	if p == nil {
		http.Error(w, "there is no such pod", http.StatusNotFound)
		return
	}
	_, _ = io.WriteString(w, p.log())
}

// latest returns the pod of a name that was started last.
func (n *node) latest(name string) *runningPod {
	n.mu.Lock()
	defer n.mu.Unlock()
	var last *runningPod
	for _, p := range n.pods {
		if p.name() == name && (last == nil || p.number > last.number) {
			last = p
		}
	}
	return last
}
