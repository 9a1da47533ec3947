package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"refresher/internal/testport"
)

// redisServer is one Redis, which keeps nothing on disk by itself.
type redisServer struct {
	program, dir, addr string
	port               int
	process            *process
}

// redisPair is a master and its replica. Replication lags, as it does; nobody
// waits for it.
type redisPair struct {
	mu     sync.Mutex
	pair   [2]*redisServer // the master first
	busy   bool
	losses []time.Time // when it lost something
}

func newRedisPair(dir string) (*redisPair, error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errors.New("this needs a real Redis: apt-get install redis-server")
	}
	r := &redisPair{}
	for i := range r.pair {
		port, err := testport.Free()
		if err != nil {
			return nil, err
		}
		s := &redisServer{program: program, dir: filepath.Join(dir, "redis-"+strconv.Itoa(i+1)), port: port, addr: fmt.Sprintf("127.0.0.1:%d", port)}
		if err := os.MkdirAll(s.dir, 0o700); err != nil {
			return nil, err
		}
		r.pair[i] = s
	}
	return r, nil
}

func (s *redisServer) start(ctx context.Context, more ...string) error {
	args := append([]string{
		"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--appendonly", "no",
		"--rdbcompression", "no", "--repl-diskless-sync-delay", "0",
	}, more...)
	p, err := spawn(filepath.Join(s.dir, "redis.log"), os.Environ(), s.program, args...)
	if err != nil {
		return err
	}
	s.process = p
	if !eventually(patience, func() bool { return p.ended() || ctx.Err() != nil || s.says("PING", "+PONG") }) || p.ended() {
		return errors.Join(fmt.Errorf("redis-server does not start, see %s/redis.log", s.dir), ctx.Err())
	}
	return nil
}

// says reports whether the answer to a command begins as it should.
func (s *redisServer) says(command, want string) bool {
	answer, err := s.do(command)
	return err == nil && strings.HasPrefix(answer, want)
}

// do sends one command, and returns the first line of the answer.
func (s *redisServer) do(command string) (string, error) {
	conn, err := net.DialTimeout("tcp", s.addr, time.Second)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write([]byte(command + "\r\n")); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && strings.HasPrefix(line, "-") {
		err = fmt.Errorf("redis: %s: %s", command, strings.TrimSpace(line))
	}
	return strings.TrimSpace(line), err
}

func (r *redisPair) start(ctx context.Context) error {
	if err := r.pair[0].start(ctx); err != nil {
		return err
	}
	return r.pair[1].start(ctx, "--replicaof", "127.0.0.1 "+strconv.Itoa(r.pair[0].port))
}

func (r *redisPair) kill() {
	for _, s := range r.pair {
		if s.process != nil {
			s.process.kill()
		}
	}
}

// master is whom the proxies pass commands on to.
func (r *redisPair) master() *redisServer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pair[0]
}

func (r *redisPair) reserve() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy {
		return false
	}
	r.busy = true
	return true
}

// loses takes down that something is being lost.
func (r *redisPair) loses() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.losses = append(r.losses, time.Now())
}

func (r *redisPair) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy = false
}

// intact reports whether nothing was lost for a while, and nothing is about to be.
func (r *redisPair) intact(since time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.busy && (len(r.losses) == 0 || time.Since(r.losses[len(r.losses)-1]) > since)
}

func (r *redisPair) flush() error {
	_, err := r.master().do("FLUSHALL")
	return err
}

// starve leaves the server no memory for half of what it holds, or none for more.
func (s *redisServer) starve(policy string) error {
	info, err := s.info("memory")
	if err != nil {
		return err
	}
	used, _ := strconv.Atoi(info["used_memory"])
	empty, _ := strconv.Atoi(info["used_memory_startup"])
	if used == 0 || empty == 0 {
		return errors.New("redis does not say what memory it uses")
	}
	if _, err := s.do("CONFIG SET maxmemory-policy " + policy); err != nil {
		return err
	}
	_, err = s.do(fmt.Sprintf("CONFIG SET maxmemory %d", (used+empty)/2))
	return err
}

// feed gives the server its memory back.
func (s *redisServer) feed() error {
	_, err := s.do("CONFIG SET maxmemory 0")
	return err
}

// info returns a section of what the server says of itself.
func (s *redisServer) info(section string) (map[string]string, error) {
	conn, err := net.DialTimeout("tcp", s.addr, time.Second)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write([]byte("INFO " + section + "\r\n")); err != nil {
		return nil, err
	}
	var reply bytes.Buffer
	if err := readRESP(bufio.NewReader(conn), &reply); err != nil {
		return nil, err
	}
	values := map[string]string{}
	for line := range strings.Lines(reply.String()) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			values[key] = value
		}
	}
	return values, nil
}

func (r *redisPair) killMaster() { r.master().process.kill() }

// failover kills the master and promotes its replica, with what that has got.
func (r *redisPair) failover() error {
	r.killMaster()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pair[0], r.pair[1] = r.pair[1], r.pair[0]
	_, err := r.pair[0].do("REPLICAOF NO ONE")
	return err
}

// restore starts what is down, and makes a pair of them again.
func (r *redisPair) restore(ctx context.Context) error {
	for _, s := range r.pair {
		if s.process.ended() {
			if err := s.start(ctx); err != nil {
				return err
			}
		}
	}
	_, err := r.pair[1].do("REPLICAOF 127.0.0.1 " + strconv.Itoa(r.pair[0].port))
	return err
}

// dump writes all that the master holds to a file, uncompressed, and returns its path.
func (r *redisPair) dump() (string, error) {
	m := r.master()
	_, err := m.do("SAVE")
	return filepath.Join(m.dir, "dump.rdb"), err
}
