package redistest

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"
)

// setUp are the commands by which clients set up a connection or look around;
// they cost something once, not every time.
var setUp = map[string]bool{
	"HELLO": true, "AUTH": true, "SELECT": true, "CLIENT": true, "COMMAND": true, "CLUSTER": true,
	"READONLY": true, "PING": true, "INFO": true, "ECHO": true,
}

// MonitorCommands runs do and returns every command that clients sent to this
// server meanwhile, in order and in the notation of MONITOR without its quotes.
// It leaves out what sets up a connection, and what scripts call inside, which
// the server's own INFO commandstats mixes with what clients send.
func (s *Server) MonitorCommands(tb testing.TB, do func()) []string {
	tb.Helper()
	conn, err := net.DialTimeout("tcp", s.Addr, patience)
	must(tb, err)
	defer func() { _ = conn.Close() }()
	must(tb, conn.SetDeadline(time.Now().Add(2*patience)))
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, 64<<20)
	_, err = conn.Write([]byte("MONITOR\r\n"))
	must(tb, err)
	if !lines.Scan() || lines.Text() != "+OK" {
		tb.Fatalf("MONITOR: %q, %v", lines.Text(), lines.Err())
	}

	do()

	// Whatever do sent is in the stream before this mark.
	mark := fmt.Sprintf("mark-%d", rand.Uint64())
	s.send(tb, "ECHO "+mark)
	var sent []string
	for lines.Scan() {
		command, ok := parseMonitor(lines.Text())
		if strings.Contains(lines.Text(), mark) {
			return sent
		}
		if ok {
			sent = append(sent, command)
		}
	}
	tb.Fatalf("the stream of MONITOR ended early: %v", lines.Err())
	return nil
}

// parseMonitor reads `+1700000000.000001 [0 127.0.0.1:5] "GET" "key"` and
// reports whether a client sent it and not only to set up its connection.
func parseMonitor(line string) (string, bool) {
	_, rest, ok := strings.Cut(line, "[")
	if !ok {
		return "", false
	}
	source, command, ok := strings.Cut(rest, "] ")
	if !ok || strings.HasSuffix(source, " lua") {
		return "", false
	}
	command = strings.ReplaceAll(strings.Trim(command, `"`), `" "`, " ")
	name, _, _ := strings.Cut(command, " ")
	return command, !setUp[strings.ToUpper(name)]
}

// send sends one inline command on a connection of its own and waits for its reply.
func (s *Server) send(tb testing.TB, command string) {
	tb.Helper()
	conn, err := net.DialTimeout("tcp", s.Addr, patience)
	must(tb, err)
	defer func() { _ = conn.Close() }()
	must(tb, conn.SetDeadline(time.Now().Add(patience)))
	_, err = conn.Write([]byte(command + "\r\n"))
	must(tb, err)
	_, err = bufio.NewReader(conn).ReadString('\n')
	must(tb, err)
}
