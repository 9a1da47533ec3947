package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// errNotAlive says that the check failed; the summary says how.
var errNotAlive = errors.New("something was not kept alive")

// demo sets the stage, lets everybody play until ctx ends or the time is up, and
// says how it went.
func demo(ctx context.Context, o options, out, errOut io.Writer) error {
	start := time.Now()
	w, err := newWorld(ctx, o, errOut)
	if ctx.Err() != nil { // stopped while it started
		return w.close()
	}
	if err != nil {
		return errors.Join(err, w.close())
	}
	show := newShow(o, out, w.guide())
	b := newBoard(start, w.fleet, show.event)
	ran := perform(ctx, w, b, show)
	end := b.view()
	show.end(end)
	result := judge(end, ran)
	if len(result.problems) > 0 {
		result.log = w.lastWarnings(end)
	}
	// What is left to do can itself go wrong, and is part of the result.
	if err := w.close(); err != nil {
		result.problems = append(result.problems, err.Error())
	}
	if err := result.write(out, end); err != nil && ctx.Err() == nil {
		return fmt.Errorf("write the summary: %w", err)
	}
	if len(result.problems) > 0 {
		return errNotAlive
	}
	return nil
}

// perform lets everybody play, and returns why the service ended if it did so by itself.
func perform(ctx context.Context, w *world, b *board, show show) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if w.options.length > 0 {
		ctx, stop = context.WithTimeout(ctx, w.options.length)
		defer stop()
	}
	check := &checker{door: w.door, servers: w.servers, board: b}
	story := &director{
		cues: w.options.cues, pace: w.options.pace, board: b, door: w.door,
		checkfront: w.providers.Checkfront, lead: playing(w.fleet, unlucky),
	}
	var all sync.WaitGroup
	defer all.Wait()
	for _, s := range w.fleet {
		all.Go(func() { check.watch(ctx, s.id) })
	}
	all.Go(func() { check.ledgers(ctx, w.providers) })
	all.Go(func() { story.play(ctx) })
	all.Go(func() { show.run(ctx, b) })
	select {
	case <-ctx.Done():
		return nil
	case <-w.done:
		stop()
		return errors.Join(errors.New("the service ended by itself"), w.ended)
	}
}
