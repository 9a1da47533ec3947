package queue

import (
	"context"
	"fmt"
	"strconv"

	"refresher/internal/credential"
)

// Entries returns all entries, in no order. It reads the index in small parts, so
// an entry that is added or removed meanwhile may or may not be among them, and
// due times are those of different moments. It costs two commands for every
// thousand entries or so.
func (q *Redis) Entries(ctx context.Context) ([]credential.Entry, error) {
	var all []credential.Entry
	for i, s := range q.shards {
		seen := map[credential.ID]bool{}
		for cursor, more := uint64(0), true; more; more = cursor != 0 {
			pairs, next, err := q.client.ZScan(ctx, s.due, cursor, "", 2*chunk).Result()
			if err != nil {
				return nil, fmt.Errorf("list shard %d: %w", i, err)
			}
			entries := q.parsePairs(pairs, i, seen)
			if err := q.readMemos(ctx, s, entries); err != nil {
				return nil, fmt.Errorf("list shard %d: %w", i, err)
			}
			all = append(all, entries...)
			cursor = next
		}
	}
	return all, nil
}

// Len returns how many entries there are, those that another number of shards left
// behind and that are not forgotten yet among them. It costs one command a shard.
func (q *Redis) Len(ctx context.Context) (int, error) {
	var total int64
	for i, s := range q.shards {
		n, err := q.client.ZCard(ctx, s.due).Result()
		if err != nil {
			return 0, fmt.Errorf("count shard %d: %w", i, err)
		}
		total += n
	}
	return int(total), nil
}

// parsePairs reads members and scores, without what was seen before, because a
// scan may return a member twice, and without what does not belong to the shard.
func (q *Redis) parsePairs(pairs []string, shard int, seen map[credential.ID]bool) []credential.Entry {
	entries := make([]credential.Entry, 0, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		id, err := credential.ParseID(pairs[i])
		if err != nil || seen[id] || q.shardOf(id) != shard {
			continue
		}
		seen[id] = true
		due, _ := strconv.ParseFloat(pairs[i+1], 64)
		entries = append(entries, credential.Entry{ID: id, Due: fromMilli(int64(due))})
	}
	return entries
}

// readMemos fills in the memos of entries of one shard.
func (q *Redis) readMemos(ctx context.Context, s shard, entries []credential.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	ids := make([]string, len(entries))
	for i, e := range entries {
		ids[i] = e.ID.String()
	}
	memos, err := q.client.HMGet(ctx, s.memo, ids...).Result()
	if err != nil {
		return err
	}
	for i := range entries {
		if text, ok := memos[i].(string); ok {
			entries[i].Memo = decode(text)
		}
	}
	return nil
}
