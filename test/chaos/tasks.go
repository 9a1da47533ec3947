package main

import "sync"

// tasks are goroutines that are waited for, and that others may begin meanwhile, which a
// sync.WaitGroup does not allow.
type tasks struct {
	mu   sync.Mutex
	none *sync.Cond
	n    int
}

func newTasks() *tasks {
	t := &tasks{}
	t.none = sync.NewCond(&t.mu)
	return t
}

// do begins one.
func (t *tasks) do(work func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n++
	go func() {
		defer t.done()
		work()
	}()
}

func (t *tasks) done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n--; t.n == 0 {
		t.none.Broadcast()
	}
}

// wait returns at a moment at which there is none.
func (t *tasks) wait() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.n > 0 {
		t.none.Wait()
	}
}
