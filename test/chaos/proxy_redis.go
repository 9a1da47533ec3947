package main

import (
	"bufio"
	"bytes"
	"net"
	"sync"
	"time"
)

// redisProxy is one replica's way to Redis: to the master, whichever that is.
type redisProxy struct {
	rig      *rig
	replica  int
	listener net.Listener
	mu       sync.Mutex
	conns    map[net.Conn]bool
}

func newRedisProxy(r *rig, replica int) (*redisProxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &redisProxy{rig: r, replica: replica, listener: listener, conns: map[net.Conn]bool{}}
	go p.accept()
	return p, nil
}

func (p *redisProxy) url() string { return "redis://" + p.listener.Addr().String() }

func (p *redisProxy) close() {
	_ = p.listener.Close()
	p.cut()
}

// cut ends all connections.
func (p *redisProxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
	clear(p.conns)
}

func (p *redisProxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.serve(client)
	}
}

// serve passes commands on, one after the other.
func (p *redisProxy) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.DialTimeout("tcp", p.rig.redis.master().addr, time.Second)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	p.mu.Lock()
	p.conns[client], p.conns[server] = true, true
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, client)
		delete(p.conns, server)
	}()
	commands, replies := bufio.NewReader(client), bufio.NewReader(server)
	for p.exchange(client, server, commands, replies) {
	}
}

// exchange passes one command and its reply on, and reports whether the connection lives.
func (p *redisProxy) exchange(client, server net.Conn, commands, replies *bufio.Reader) bool {
	var command, reply bytes.Buffer
	if readRESP(commands, &command) != nil {
		return false
	}
	p.rig.secrets.keep(command.Bytes())
	step, meets := p.step(command.Bytes())
	if meets && step.meet(p.rig, Before).cut {
		return false
	}
	if _, err := server.Write(command.Bytes()); err != nil {
		return false
	}
	if readRESP(replies, &reply) != nil {
		return false
	}
	fate := fate{}
	if meets {
		p.watch(step, reply.Bytes())
		fate = step.meet(p.rig, After)
	}
	switch {
	case fate.cut:
		return false
	case fate.truncate:
		_, _ = client.Write(reply.Bytes()[:reply.Len()/2])
		return false
	}
	_, err := client.Write(reply.Bytes())
	return err == nil
}

// step says which step a command is; false if it is none.
func (p *redisProxy) step(command []byte) (Step, bool) {
	call, ok := readRedisCall(commandArgs(command))
	if !ok {
		return Step{}, false
	}
	s := Step{Boundary: call.Boundary, Replica: p.replica}
	switch call.Boundary {
	case Lease:
		s.ID = call.Tenant + "/" + rotatingName
		return s, p.rig.seen.firstSight(call.Tenant, call.Owner)
	case Spent:
		if s.ID = p.rig.seen.ownerOf(call.Hash); s.ID != "" {
			s.Attempt = p.rig.seen.current(p.replica, s.ID)
		}
	default:
		if s.Attempt = p.rig.seen.attempt(call.Attempt); s.Attempt != nil {
			s.ID = s.Attempt.ID
		}
	}
	if s.Boundary == Escrow && s.Attempt != nil {
		p.rig.spoolFirst(p.rig.replicas[p.replica-1], s.Attempt)
	}
	return s, true
}

// watch takes down what a command did.
func (p *redisProxy) watch(s Step, reply []byte) {
	if s.Boundary != Escrow || s.Attempt == nil || !bytes.HasPrefix(reply, []byte(":1")) {
		return
	}
	p.rig.seen.note(s.Attempt, func(a *attempt) { a.Copied = time.Now() })
	p.rig.story.tell(p.replica, s.ID, "the sealed answer of %s is in Redis", short(s.Attempt.Name))
}
