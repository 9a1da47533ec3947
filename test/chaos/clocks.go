package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// clockVariable names how far a process's clock is ahead, in a program that apart built.
const clockVariable = "CHAOS_CLOCK_AHEAD"

// clocks are how far the replicas' clocks are ahead, in turn. An in-flight bound of
// six seconds stands for one of ten minutes, so a second here is more than a minute and a half.
func clocks() []time.Duration {
	return []time.Duration{0, 1200 * time.Millisecond, -1200 * time.Millisecond, 2400 * time.Millisecond}
}

// clockOf is how far a replica's clock is ahead.
func clockOf(replica int) time.Duration { return clocks()[(replica-1)%len(clocks())] }

// aheadOf is how far a replica's clock is ahead in this run.
func (r *rig) aheadOf(replica int) time.Duration {
	if r.options.clocks {
		return clockOf(replica)
	}
	return 0
}

// clocksDiffer sees that the processes' clocks were as they should be, by what they export of
// Vault's Date, which has whole seconds.
func (r *rig) clocksDiffer() {
	for _, rep := range r.replicas {
		text, err := os.ReadFile(rep.metrics)
		if err != nil {
			r.broken(err)
			continue
		}
		_, value, _ := strings.Cut(string(text), `refresher_clock_skew_seconds{peer="vault"} `)
		value, _, _ = strings.Cut(value, "\n")
		shown, err := strconv.ParseFloat(value, 64)
		if err != nil || math.Abs(shown-clockOf(rep.n).Seconds()) > 0.8 {
			r.broken(fmt.Errorf("the clock of replica %d is ahead by %q s, want %s", rep.n, value, clockOf(rep.n)))
		}
	}
}

// apart builds the service once more, with another time.Now: one that reads how far it is
// to be ahead from the environment. Not a line of the service is different; what
// differs is the file of Go's own library that the build is given in the place of the real
// one. The monotonic clock, which one machine has, stays as it is.
func apart(ctx context.Context, root, dir string) (program string, err error) {
	goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOROOT: %w", err)
	}
	original := filepath.Join(strings.TrimSpace(string(goroot)), "src", "time", "time.go")
	source, err := os.ReadFile(original)
	if err != nil {
		return "", err
	}
	const now = "\tsec, nsec, mono := runtimeNow()\n"
	if !strings.Contains(string(source), now) {
		return "", errors.New("this Go has another time.Now than the rig knows")
	}
	changed := strings.Replace(string(source), "import (\n", "import (\n\t\"syscall\"\n", 1)
	changed = strings.Replace(changed, now, now+"\tsec, nsec = chaosAhead(sec, nsec)\n", 1) + aheadSource
	file, overlay := filepath.Join(dir, "time.go"), filepath.Join(dir, "overlay.json")
	mapping, err := json.Marshal(map[string]any{"Replace": map[string]string{original: file}})
	if err != nil {
		return "", err
	}
	if err := errors.Join(os.WriteFile(file, []byte(changed), 0o600), os.WriteFile(overlay, mapping, 0o600)); err != nil {
		return "", err
	}
	program = filepath.Join(dir, "refresher-apart")
	build := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-buildvcs=false", "-trimpath", "-tags", "timetzdata", "-o", program, "./cmd/refresher")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the service with another clock: %w: %s", err, said)
	}
	return program, nil
}

// aheadSource is what the time package is given besides.
const aheadSource = `
var chaosAheadBy = func() Duration {
	text, _ := syscall.Getenv("` + clockVariable + `")
	ahead, _ := ParseDuration(text)
	return ahead
}()

func chaosAhead(sec int64, nsec int32) (int64, int32) {
	nanos := int64(nsec) + int64(chaosAheadBy%Second) + int64(Second)
	return sec + int64(chaosAheadBy/Second) - 1 + nanos/int64(Second), int32(nanos % int64(Second))
}
`
