package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"refresher/internal/testport"
)

// vaultServer is the real Vault, with its storage on the disk.
type vaultServer struct {
	program, dir string
	address      string
	port         int
	unsealKey    string
	process      *process
	client       *http.Client
	busy         atomic.Bool
	copies       int
}

// rootToken is that of bin/vault-dev.
const rootToken = "root"

// patience is how long a server may take to come up, on a busy machine.
const patience = 60 * time.Second

func newVault(program, dir string) (*vaultServer, error) {
	port, err := testport.Free()
	if err != nil {
		return nil, err
	}
	return &vaultServer{
		program: program, dir: dir, port: port, address: fmt.Sprintf("http://127.0.0.1:%d", port),
		client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}},
	}, os.MkdirAll(dir, 0o700)
}

func (v *vaultServer) storage() string { return filepath.Join(v.dir, "storage") }

// start starts the server on its storage, and waits until it serves.
func (v *vaultServer) start(ctx context.Context) error {
	log := filepath.Join(v.dir, "vault.log")
	began, _ := os.Stat(log)
	p, err := spawn(log, os.Environ(), v.program, "-listen", strings.TrimPrefix(v.address, "http://"), "-root-token", rootToken, "-storage", v.storage(), "-log-level", "error")
	if err != nil {
		return err
	}
	v.process = p
	var from int64
	if began != nil {
		from = began.Size()
	}
	if !eventually(patience, func() bool { return p.ended() || ctx.Err() != nil || v.announced(log, from) }) || p.ended() {
		return errors.Join(errors.New("vault-dev does not start, see vault.log"), ctx.Err())
	}
	return nil
}

// announced reads what the server prints when it is ready.
func (v *vaultServer) announced(log string, from int64) bool {
	f, err := os.Open(log)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	_, _ = f.Seek(from, io.SeekStart)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, ok := strings.CutPrefix(lines.Text(), "unseal key: "); ok {
			v.unsealKey = key
		}
		if lines.Text() == "ready" {
			return true
		}
	}
	return false
}

func (v *vaultServer) kill() { v.process.kill() }

func (v *vaultServer) reserve() bool { return v.busy.CompareAndSwap(false, true) }
func (v *vaultServer) release()      { v.busy.Store(false) }

func (v *vaultServer) seal(ctx context.Context) error {
	return v.call(ctx, http.MethodPut, "sys/seal", nil, nil)
}

func (v *vaultServer) unseal(ctx context.Context) error {
	if err := v.call(ctx, http.MethodPut, "sys/unseal", map[string]any{"key": v.unsealKey}, nil); err != nil {
		return err
	}
	if !eventually(patience, func() bool { return v.call(ctx, http.MethodGet, "secret/config", nil, nil) == nil }) {
		return errors.New("the store does not get ready after unsealing")
	}
	return nil
}

// copyStorage copies the storage as it stands at this moment.
func (v *vaultServer) copyStorage() (string, error) {
	v.copies++
	to := filepath.Join(v.dir, fmt.Sprintf("copy-%d", v.copies))
	_ = v.process.cmd.Process.Signal(syscall.SIGSTOP)
	defer func() { _ = v.process.cmd.Process.Signal(syscall.SIGCONT) }()
	return to, os.CopyFS(to, os.DirFS(v.storage()))
}

// replaceStorage puts an older copy in the place of a dead server's storage.
func (v *vaultServer) replaceStorage(by string) error {
	return errors.Join(os.RemoveAll(v.storage()), os.Rename(by, v.storage()))
}

// call sends one request as root, and reads the answer into result if that is not nil.
func (v *vaultServer) call(ctx context.Context, method, path string, body, result any) error {
	var payload []byte
	if body != nil {
		var err error
		if payload, err = json.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, v.address+"/v1/"+path, bytes.NewReader(payload))
	if err != nil {
		return err
	}
	req.Header.Set("X-Vault-Token", rootToken)
	resp, err := v.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode == http.StatusNotFound:
		return errAbsent
	case resp.StatusCode >= 300:
		return fmt.Errorf("vault answers %d", resp.StatusCode)
	case result == nil:
		return nil
	default:
		return json.Unmarshal(answer, result)
	}
}

// errAbsent means that Vault has no such document.
var errAbsent = errors.New("vault answers 404")

// insist repeats a request until Vault, which may just be down or sealed, takes it.
func (v *vaultServer) insist(ctx context.Context, method, path string, body, result any) error {
	var last error
	if eventually(patience, func() bool { last = v.call(ctx, method, path, body, result); return last == nil || ctx.Err() != nil }) {
		return ctx.Err()
	}
	return fmt.Errorf("%s %s: %w", method, path, last)
}

// stored reads a document; the data are those of the last version.
func stored[T any](ctx context.Context, v *vaultServer, folder, id string) (T, error) {
	var reply struct {
		Data struct {
			Data T `json:"data"`
		} `json:"data"`
	}
	err := v.insist(ctx, http.MethodGet, "secret/data/refresher/"+folder+"/"+id, nil, &reply)
	return reply.Data.Data, err
}

// eachEscrowKey sends a request about each of the escrow keys.
func (v *vaultServer) eachEscrowKey(ctx context.Context, method, folder string, body any) error {
	var list struct {
		Data struct {
			Keys []string `json:"keys"`
		} `json:"data"`
	}
	if err := v.insist(ctx, http.MethodGet, "secret/metadata/refresher/escrow-keys?list=true", nil, &list); err != nil {
		return err
	}
	for _, id := range list.Data.Keys {
		if err := v.insist(ctx, method, folder+"refresher/escrow-keys/"+id, body, nil); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes a credential as a person would: its last version, or every trace of it.
func (v *vaultServer) remove(ctx context.Context, id string, metadata bool) error {
	folder := "data"
	if metadata {
		folder = "metadata"
	}
	return v.insist(ctx, http.MethodDelete, "secret/"+folder+"/refresher/credentials/"+id, nil, nil)
}

// missing reports whether a credential is not stored.
func (v *vaultServer) missing(ctx context.Context, id string) bool {
	missing := false
	eventually(patience, func() bool {
		err := v.call(ctx, http.MethodGet, "secret/data/refresher/credentials/"+id, nil, nil)
		missing = errors.Is(err, errAbsent)
		return err == nil || missing || ctx.Err() != nil
	})
	return missing
}

// store writes a credential as a person would.
func (v *vaultServer) store(ctx context.Context, id string, fields map[string]string) error {
	return v.insist(ctx, http.MethodPost, "secret/data/refresher/credentials/"+id, map[string]any{"data": fields}, nil)
}
