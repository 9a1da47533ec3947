package cluster

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// node is scheduler, volume provisioner and kubelet of one namespace.
type node struct {
	api             *apiClient
	name, namespace string
	// dir holds the pods' folders, and disk the volumes, which outlive them.
	dir, disk string
	// services are what a pod sees of the world outside.
	services []service

	server *http.Server
	stop   context.CancelFunc
	work   sync.WaitGroup

	mu   sync.Mutex
	pods map[string]*runningPod // by UID
	errs []error
}

// startNode begins to run the pods of a namespace, until the end of the test. Whatever
// it could not do fails the test.
func startNode(t *testing.T, namespace string, services []service) *node {
	t.Helper()
	n := &node{
		api: kube.api, name: "node-" + namespace, namespace: namespace, dir: t.TempDir(), disk: t.TempDir(),
		services: services, pods: map[string]*runningPod{},
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	n.stop = cancel
	if err := n.register(ctx); err != nil {
		t.Fatal(err)
	}
	n.work.Go(func() { n.loop(ctx) })
	t.Cleanup(func() { n.close(t) })
	return n
}

func (n *node) close(t *testing.T) {
	n.stop()
	_ = n.server.Close()
	n.work.Wait()
	for _, err := range n.errs {
		t.Errorf("the node: %v", err)
	}
	if t.Failed() {
		for _, p := range n.pods {
			text := p.log()
			t.Logf("log of %s, its end:\n%s", p.name(), text[max(0, len(text)-6000):])
		}
	}
}

// loop looks at the namespace's pods again and again.
func (n *node) loop(ctx context.Context) {
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	for {
		var list struct {
			Items []*pod `json:"items"`
		}
		err := n.api.get(ctx, "/api/v1/namespaces/"+n.namespace+"/pods", &list)
		for _, p := range list.Items {
			n.sync(ctx, p)
		}
		n.note(ctx, err)
		select {
		case <-poll.C:
		case <-ctx.Done():
			return
		}
	}
}

// note keeps an error for the end of the test. An object that has gone in between, or
// that somebody else has changed, is none.
func (n *node) note(ctx context.Context, err error) {
	if err == nil || ctx.Err() != nil || hasCode(err, http.StatusNotFound) || hasCode(err, http.StatusConflict) {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.errs = append(n.errs, err)
}

// sync brings one pod a step further.
func (n *node) sync(ctx context.Context, p *pod) {
	if err := p.readSpec(); err != nil {
		n.once(p, err)
		return
	}
	n.mu.Lock()
	running := n.pods[p.Metadata.UID]
	n.mu.Unlock()
	switch {
	case p.Metadata.DeletionTimestamp != "" && (running == nil || running.ended()):
		n.note(ctx, n.forget(ctx, p))
	case p.Metadata.DeletionTimestamp != "":
		running.terminate(time.Duration(p.Metadata.DeletionGracePeriodSeconds) * time.Second)
	case p.Spec.NodeName == "":
		n.note(ctx, n.schedule(ctx, p))
	case running == nil && p.Status.Phase == "Pending":
		n.start(ctx, p)
	}
}

// once notes an error about a pod, and does not look at that pod again.
func (n *node) once(p *pod, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.pods[p.Metadata.UID] == nil {
		n.pods[p.Metadata.UID] = &runningPod{pod: p}
		n.errs = append(n.errs, fmt.Errorf("pod %s: %w", p.Metadata.Name, err))
	}
}

// schedule binds a pod to the node once all its claims are bound to volumes.
func (n *node) schedule(ctx context.Context, p *pod) error {
	for _, v := range p.Spec.Volumes {
		if v.Claim == nil {
			continue
		}
		bound, err := n.provision(ctx, v.Claim.ClaimName)
		if err != nil || !bound {
			return err
		}
	}
	return n.api.post(ctx, p.path()+"/binding", map[string]any{
		"metadata": map[string]any{"name": p.Metadata.Name, "uid": p.Metadata.UID},
		"target":   map[string]any{"kind": "Node", "name": n.name},
	}, nil)
}

// claim is a PersistentVolumeClaim.
type claim struct {
	Metadata metadata `json:"metadata"`
	Spec     struct {
		AccessModes      []string `json:"accessModes"`
		StorageClassName *string  `json:"storageClassName"`
		VolumeName       string   `json:"volumeName"`
		Resources        struct {
			Requests map[string]string `json:"requests"`
		} `json:"resources"`
	} `json:"spec"`
	Status struct {
		Phase string `json:"phase"`
	} `json:"status"`
}

// provision makes a volume for a claim, as a storage driver would; the API server's own
// controller binds the two.
func (n *node) provision(ctx context.Context, name string) (bound bool, err error) {
	var c claim
	if err := n.api.get(ctx, "/api/v1/namespaces/"+n.namespace+"/persistentvolumeclaims/"+name, &c); err != nil {
		return false, err
	}
	if c.Status.Phase == "Bound" {
		return true, nil
	}
	volume := "pv-" + c.Metadata.UID
	dir := filepath.Join(n.disk, volume)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return false, err
	}
	spec := map[string]any{
		"capacity": c.Spec.Resources.Requests, "accessModes": c.Spec.AccessModes,
		"persistentVolumeReclaimPolicy": "Retain", "hostPath": map[string]any{"path": dir},
		"claimRef": map[string]any{
			"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": name, "namespace": n.namespace, "uid": c.Metadata.UID,
		},
	}
	if c.Spec.StorageClassName != nil {
		spec["storageClassName"] = *c.Spec.StorageClassName
	}
	err = n.api.post(ctx, "/api/v1/persistentvolumes", map[string]any{
		"apiVersion": "v1", "kind": "PersistentVolume", "metadata": map[string]any{"name": volume}, "spec": spec,
	}, nil)
	return false, err // one that is there already is waiting to be bound
}

// start runs a pod that is bound to the node.
func (n *node) start(ctx context.Context, p *pod) {
	n.mu.Lock()
	holder := n.holder(p)
	if holder == "" {
		n.pods[p.Metadata.UID] = newRunningPod(n, p, len(n.pods)+1)
	}
	running := n.pods[p.Metadata.UID]
	n.mu.Unlock()
	if holder != "" {
		return // it gets its volume when the other has gone
	}
	n.work.Go(func() {
		err := running.run(ctx)
		n.note(ctx, err)
		if ctx.Err() == nil && running.terminated() {
			n.note(ctx, n.forget(ctx, p))
		}
	})
}

// holder is a running pod with a claim that this one needs too.
func (n *node) holder(p *pod) string {
	for _, other := range n.pods {
		if other.ended() {
			continue
		}
		for _, v := range other.pod.Spec.Volumes {
			if v.Claim != nil && slices.ContainsFunc(p.Spec.Volumes, func(own volume) bool {
				return own.Claim != nil && own.Claim.ClaimName == v.Claim.ClaimName
			}) {
				return other.name()
			}
		}
	}
	return ""
}

// forget removes a deleted pod, of which nothing runs any more, for good.
func (n *node) forget(ctx context.Context, p *pod) error {
	return n.api.remove(ctx, p.path(), map[string]any{
		"gracePeriodSeconds": 0, "preconditions": map[string]any{"uid": p.Metadata.UID},
	})
}

// running returns the living pod of a name.
func (n *node) running(name string) *runningPod {
	if p := n.latest(name); p != nil && !p.ended() {
		return p
	}
	return nil
}

func (p *pod) path() string {
	return "/api/v1/namespaces/" + p.Metadata.Namespace + "/pods/" + p.Metadata.Name
}
