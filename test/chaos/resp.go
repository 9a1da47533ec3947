package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

var errNotRESP = errors.New("this is not Redis's protocol")

// readRESP reads one value of Redis's protocol (version 2 or 3) and appends its
// bytes to raw as they are.
func readRESP(in *bufio.Reader, raw *bytes.Buffer) error {
	line, err := in.ReadBytes('\n')
	raw.Write(line)
	if err != nil {
		return err
	}
	if len(line) < 3 {
		return errNotRESP
	}
	if bytes.IndexByte([]byte("+-:_#,("), line[0]) >= 0 {
		return nil
	}
	if bytes.IndexByte([]byte("$!=*~>%|"), line[0]) < 0 {
		return fmt.Errorf("%w: %.20q", errNotRESP, line)
	}
	n, err := strconv.Atoi(string(line[1 : len(line)-2]))
	if err != nil {
		return fmt.Errorf("%w: %.20q", errNotRESP, line)
	}
	if bytes.IndexByte([]byte("$!="), line[0]) >= 0 {
		if n >= 0 {
			_, err = io.CopyN(raw, in, int64(n)+2)
		}
		return err
	}
	for range parts(line[0], n) {
		if err := readRESP(in, raw); err != nil {
			return err
		}
	}
	return nil
}

// parts is of how many values a value is made that says it has n.
func parts(kind byte, n int) int {
	switch kind {
	case '%':
		return 2 * n
	case '|':
		return 2*n + 1 // attributes, and the value that they belong to
	default:
		return n
	}
}

// commandArgs returns the arguments of a command as clients send it: an array of
// bulk strings. It is nil for anything else.
func commandArgs(raw []byte) []string {
	in := bufio.NewReader(bytes.NewReader(raw))
	head, err := in.ReadString('\n')
	if err != nil || head[0] != '*' {
		return nil
	}
	n, _ := strconv.Atoi(head[1 : len(head)-2])
	args := make([]string, 0, max(n, 0))
	for range n {
		size, err := in.ReadString('\n')
		if err != nil || size[0] != '$' {
			return nil
		}
		length, _ := strconv.Atoi(size[1 : len(size)-2])
		text := make([]byte, length+2)
		if _, err := io.ReadFull(in, text); err != nil {
			return nil
		}
		args = append(args, string(text[:length]))
	}
	return args
}
