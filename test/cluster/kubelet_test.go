package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// probeEvery is how often probes are asked, whatever their period: tests have less
// patience than a kubelet.
const probeEvery = 250 * time.Millisecond

// restartAfter is how long a container that ended waits to be started again.
const restartAfter = time.Second

// runningPod is a pod with the process of its container.
type runningPod struct {
	node    *node
	pod     *pod
	number  int // of all pods that the node has started
	ip      string
	network *network
	client  *http.Client
	began   time.Time
	stopNow chan struct{}
	over    chan struct{}

	started, isReady bool
	restarts         int

	mu      sync.Mutex
	process *process
	grace   time.Duration
	stopped bool
	answers map[string]string // the last answer to each probe
}

func newRunningPod(n *node, p *pod, number int) *runningPod {
	return &runningPod{
		node: n, pod: p, number: number, ip: fmt.Sprintf("10.244.0.%d", number), stopNow: make(chan struct{}), over: make(chan struct{}), answers: map[string]string{},
	}
}

func (r *runningPod) name() string { return r.pod.Metadata.Name }

// ended reports whether nothing of it runs; of a pod that was refused nothing ever did.
func (r *runningPod) ended() bool {
	if r.over == nil {
		return true
	}
	select {
	case <-r.over:
		return true
	default:
		return false
	}
}

// terminate asks the container to end within the grace. It may be repeated.
func (r *runningPod) terminate(grace time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopNow == nil || r.stopped {
		return
	}
	r.grace, r.stopped = grace, true
	close(r.stopNow)
}

func (r *runningPod) terminated() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stopped
}

// answer is what a probe ("startup", "liveness", "readiness") got last.
func (r *runningPod) answer(probe string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.answers[probe]
}

// main is the container's process; nil before it was first started.
func (r *runningPod) main() *process {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.process
}

// log is what the container has printed, in all its lives.
func (r *runningPod) log() string {
	p := r.main()
	if p == nil {
		return ""
	}
	text, err := os.ReadFile(p.log)
	return string(text) + errorText(err)
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// run starts the container, again when it ends by itself and the pod says so, until
// the pod is deleted or the test is over.
func (r *runningPod) run(ctx context.Context) error {
	defer close(r.over)
	for {
		if err := r.launch(ctx); err != nil {
			return fmt.Errorf("pod %s: %w", r.name(), err)
		}
		err := r.attend(ctx)
		r.network.close()
		if err != nil || ctx.Err() != nil || r.terminated() || r.pod.Spec.RestartPolicy == "Never" {
			return err
		}
		r.restarts++
		select {
		case <-time.After(restartAfter):
		case <-r.stopNow:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// attend asks the container's probes and reports what they answer, until it has ended.
func (r *runningPod) attend(ctx context.Context) error {
	r.started, r.isReady = false, false
	if err := r.report(ctx); err != nil {
		return err
	}
	probes := time.NewTicker(probeEvery)
	defer probes.Stop()
	for {
		select {
		case <-r.process.ended:
			return r.reportEnd(ctx)
		case <-r.stopNow:
			r.process.end(syscall.SIGTERM, r.grace)
			return r.reportEnd(ctx)
		case <-ctx.Done():
			r.process.end(syscall.SIGKILL, 0)
			return nil
		case <-probes.C:
			if err := r.probe(ctx); err != nil {
				r.process.end(syscall.SIGKILL, 0)
				return err
			}
		}
	}
}

// launch puts the container together and starts it, in namespaces of its own.
func (r *runningPod) launch(ctx context.Context) error {
	dir := filepath.Join(r.node.dir, r.pod.Metadata.UID)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	box := &sandbox{api: r.node.api, pod: r.pod, dir: dir}
	spec, err := box.assemble(ctx, r.ip, r.node.services)
	if err != nil {
		return err
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "container.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, becomeContainer, file)
	cmd.Env = []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
	}
	p, err := spawn(dir, r.name(), cmd, func() (err error) {
		r.network, err = newNetwork(r.ip, r.node.services)
		return err
	})
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.process = p
	r.mu.Unlock()
	r.began = time.Now()
	r.client = &http.Client{Transport: &http.Transport{DialContext: r.network.dial, DisableKeepAlives: true}}
	return nil
}

// probe asks the startup probe until it succeeds, and then the two others.
func (r *runningPod) probe(ctx context.Context) error {
	c := &r.pod.Spec.Containers[0]
	started, ready := r.started, r.isReady
	if !r.started {
		err := r.ask(ctx, "startup", c.StartupProbe)
		r.started = err == nil
		if limit := startupLimit(c.StartupProbe); err != nil && time.Since(r.began) > limit {
			return fmt.Errorf("pod %s has not started within %s: %w", r.name(), limit, err)
		}
	}
	if r.started {
		if err := r.ask(ctx, "liveness", c.LivenessProbe); err != nil {
			return fmt.Errorf("pod %s: a kubelet would kill it: %w", r.name(), err)
		}
		r.isReady = r.ask(ctx, "readiness", c.ReadinessProbe) == nil
	}
	if r.started == started && r.isReady == ready {
		return nil
	}
	return r.report(ctx)
}

func startupLimit(p *probe) time.Duration {
	if p == nil {
		return 0
	}
	return time.Duration(p.FailureThreshold*p.PeriodSeconds) * time.Second
}

// ask asks one probe, as the pod says. A probe that a container does not have succeeds.
func (r *runningPod) ask(ctx context.Context, name string, p *probe) error {
	if p == nil {
		return nil
	}
	number, err := r.pod.Spec.Containers[0].portNumber(p.HTTPGet.Port)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(p.TimeoutSeconds)*time.Second)
	defer cancel()
	url := strings.ToLower(p.HTTPGet.Scheme) + "://" + r.ip + ":" + strconv.Itoa(number) + p.HTTPGet.Path
	status, body, err := r.fetch(ctx, url)
	answer := strconv.Itoa(status) + " " + body + errorText(err)
	r.mu.Lock()
	r.answers[name] = answer
	r.mu.Unlock()
	if err != nil || status < 200 || status > 399 {
		return fmt.Errorf("the %s probe %s is answered: %s", name, url, answer)
	}
	return nil
}

// fetch asks for a URL from inside the pod.
func (r *runningPod) fetch(ctx context.Context, url string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	res, err := r.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, string(text), err
}

// report tells the API server how a container that runs is doing.
func (r *runningPod) report(ctx context.Context) error {
	return r.patchStatus(ctx, "Running", r.started && r.isReady, map[string]any{
		"running": map[string]any{"startedAt": r.began.UTC().Format(time.RFC3339)},
	})
}

// reportEnd tells the API server that the container has ended. One that was asked to
// must end in good order.
func (r *runningPod) reportEnd(ctx context.Context) error {
	code := 0
	if failed, ok := errors.AsType[*exec.ExitError](r.process.err); ok {
		code = failed.ExitCode()
	}
	phase := "Running" // it is started again
	switch {
	case !r.terminated() && r.pod.Spec.RestartPolicy != "Never":
	case code != 0:
		phase = "Failed"
	default:
		phase = "Succeeded"
	}
	err := r.patchStatus(ctx, phase, false, map[string]any{"terminated": map[string]any{
		"exitCode": code, "startedAt": r.began.UTC().Format(time.RFC3339), "finishedAt": time.Now().UTC().Format(time.RFC3339),
	}})
	if err == nil && r.terminated() && code != 0 {
		return fmt.Errorf("pod %s was asked to end and ended with %w", r.name(), r.process.err)
	}
	return err
}

func (r *runningPod) patchStatus(ctx context.Context, phase string, ready bool, state map[string]any) error {
	is := map[bool]string{true: "True", false: "False"}[ready]
	c := &r.pod.Spec.Containers[0]
	return r.node.api.patch(ctx, r.pod.path()+"/status", map[string]any{
		"metadata": map[string]any{"uid": r.pod.Metadata.UID},
		"status": map[string]any{
			"phase": phase, "podIP": r.ip, "podIPs": []any{map[string]any{"ip": r.ip}},
			"startTime": r.began.UTC().Format(time.RFC3339),
			"conditions": []any{
				map[string]any{"type": "Initialized", "status": "True"},
				map[string]any{"type": "ContainersReady", "status": is},
				map[string]any{"type": "Ready", "status": is},
			},
			"containerStatuses": []any{map[string]any{
				"name": c.Name, "image": c.Image, "imageID": c.Image, "restartCount": r.restarts,
				"ready": ready, "started": r.started, "state": state,
			}},
		},
	})
}
