package queue

import (
	"container/heap"
	"context"
	"fmt"
	"sync"
	"time"

	"refresher/internal/credential"
)

// Memory is the index in one process's memory, for one replica without Redis. It
// behaves as Redis does, but for errors, which it has only for a memo that Redis
// could not keep either. Its methods may be called at once from several
// goroutines; they do not block and ignore the context.
type Memory struct {
	mu      sync.Mutex
	heap    byDue
	items   map[credential.ID]*item
	builtBy string
}

// NewMemory returns an empty index that is not built yet.
func NewMemory() *Memory { return &Memory{items: map[credential.ID]*item{}} }

// Claim is Redis.Claim. With nothing due it takes the same short time however
// many entries there are.
func (q *Memory) Claim(_ context.Context, now time.Time, limit int, visibility time.Duration) (Claim, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	claim := Claim{Built: q.builtBy != "" || limit < 1, BuiltBy: q.builtBy}
	until := now.Add(visibility).UnixMilli()
	var moved []*item
	for len(q.heap) > 0 && len(moved) < limit && q.heap[0].due <= now.UnixMilli() {
		it := heap.Pop(&q.heap).(*item)
		claim.Entries = append(claim.Entries, Claimed{Entry: it.entry(), Until: fromMilli(until)})
		moved = append(moved, it)
	}
	for _, it := range moved {
		it.due = until
		heap.Push(&q.heap, it)
	}
	return claim, nil
}

// Schedule is Redis.Schedule.
func (q *Memory) Schedule(_ context.Context, e credential.Entry, until time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	it := q.items[e.ID]
	if it == nil {
		return nil
	}
	due, memo := e.Due.UnixMilli(), e.Memo
	if !until.IsZero() && it.due < until.UnixMilli() {
		due = min(due, it.due)
		memo.Forced = memo.Forced || decode(it.memo).Forced
	}
	text, err := encode(memo)
	if err != nil {
		return fmt.Errorf("schedule %s: %w", e.ID, err)
	}
	it.memo = text
	q.move(it, due)
	return nil
}

// Add is Redis.Add, but after an error nothing was added.
func (q *Memory) Add(_ context.Context, entries ...credential.Entry) (int, error) {
	memos := make([]string, len(entries))
	for i, e := range entries {
		text, err := encode(e.Memo)
		if err != nil {
			return 0, fmt.Errorf("add %s: %w", e.ID, err)
		}
		memos[i] = text
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	added := 0
	for i, e := range entries {
		if q.items[e.ID] == nil {
			q.insert(&item{id: e.ID, due: e.Due.UnixMilli(), memo: memos[i]})
			added++
		}
	}
	return added, nil
}

// Expedite is Redis.Expedite.
func (q *Memory) Expedite(_ context.Context, id credential.ID, now time.Time, forced bool) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	it := q.items[id]
	if it == nil {
		it = &item{id: id, due: now.UnixMilli()}
		q.insert(it)
	}
	memo := decode(it.memo)
	memo.Failures, memo.Refusals = 0, 0
	memo.Forced = memo.Forced || forced
	text, err := encode(memo)
	if err != nil {
		return fmt.Errorf("expedite %s: %w", id, err)
	}
	it.memo = text
	q.move(it, min(it.due, now.UnixMilli()))
	return nil
}

// Remove is Redis.Remove.
func (q *Memory) Remove(_ context.Context, ids ...credential.ID) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, id := range ids {
		if it := q.items[id]; it != nil {
			heap.Remove(&q.heap, it.place)
			delete(q.items, id)
		}
	}
	return nil
}

// Entries is Redis.Entries, but all of one moment.
func (q *Memory) Entries(context.Context) ([]credential.Entry, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := make([]credential.Entry, 0, len(q.items))
	for _, it := range q.heap {
		all = append(all, it.entry())
	}
	return all, nil
}

// Len is Redis.Len.
func (q *Memory) Len(context.Context) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items), nil
}

// MarkBuilt is Redis.MarkBuilt.
func (q *Memory) MarkBuilt(_ context.Context, by string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.builtBy = by
	return nil
}

func (q *Memory) insert(it *item) {
	q.items[it.id] = it
	heap.Push(&q.heap, it)
}

func (q *Memory) move(it *item, due int64) {
	it.due = due
	heap.Fix(&q.heap, it.place)
}

// item is one entry, in the form in which Redis would keep it: so a memo comes
// back without what Redis would lose as well, such as a monotonic clock reading,
// which stands still while a laptop sleeps.
type item struct {
	id    credential.ID
	due   int64
	memo  string
	place int
}

func (it *item) entry() credential.Entry {
	return credential.Entry{ID: it.id, Due: fromMilli(it.due), Memo: decode(it.memo)}
}

// byDue is a heap.Interface with what is due first on top.
type byDue []*item

// Len implements sort.Interface.
func (h byDue) Len() int { return len(h) }

// Less implements sort.Interface: by due time, then by ID, as in Redis.
func (h byDue) Less(i, j int) bool {
	if h[i].due != h[j].due {
		return h[i].due < h[j].due
	}
	return h[i].id.String() < h[j].id.String()
}

// Swap implements sort.Interface.
func (h byDue) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push implements heap.Interface.
func (h *byDue) Push(x any) {
	it := x.(*item)
	it.place = len(*h)
	*h = append(*h, it)
}

// Pop implements heap.Interface.
func (h *byDue) Pop() any {
	last := len(*h) - 1
	it := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return it
}
