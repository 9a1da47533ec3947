package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/file"
	"github.com/hashicorp/vault/sdk/physical/inmem"
)

// What a storage directory holds. The names are such that nothing else has them, for two of these folders are removed
// with all that is in them: -storage may by mistake name a directory of other things.
const (
	secretsFile = "dev-unseal.json" // initSecrets, mode 0600; there once initialising is over
	lockFile    = "vault-dev.lock"  // held while a server runs on the directory
	dataFolder  = "vault-dev.data"  // Vault's entries, encrypted by Vault; removed when there is no secretsFile
	tempFolder  = "vault-dev.tmp"   // entries being written; removed at each start
)

// initSecrets is what initialising a Vault gives once and never again.
type initSecrets struct {
	UnsealKey string `json:"unseal_key"` // base64
	RootToken string `json:"root_token"`
}

// store is where one server keeps its data: a directory, or memory when dir is empty.
type store struct {
	dir     string
	kind    string // Vault's name for the kind of storage
	backend physical.Backend
	lock    *os.File
}

// openStore opens the storage in dir, which it makes if need be, or in memory when dir is empty. It refuses a directory
// that another server holds; the lock goes with its process, however that ends.
func openStore(dir string, logger hclog.Logger) (*store, error) {
	if dir == "" {
		backend, err := inmem.NewInmem(nil, logger)
		if err != nil {
			return nil, fmt.Errorf("open storage in memory: %w", err)
		}
		return &store{kind: "inmem", backend: backend}, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the storage directory, give -storage a place that can be written: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the storage lock, give -storage a place that can be written: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		err = fmt.Errorf("lock %s, stop the server that uses it or give another -storage: %w", lock.Name(), err)
		return nil, errors.Join(err, lock.Close())
	}
	backend, err := openFiles(dir, logger)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return &store{dir: dir, kind: "file", backend: backend, lock: lock}, nil
}

// close lets another server have the directory.
func (s *store) close() error {
	if s.lock == nil {
		return nil
	}
	return s.lock.Close()
}

// loadSecrets returns what saveSecrets kept.
func (s *store) loadSecrets() (initSecrets, error) {
	path := filepath.Join(s.dir, secretsFile)
	raw, err := os.ReadFile(path)
	if err != nil {
		return initSecrets{}, fmt.Errorf("read the unseal key, remove %s and start again: %w", s.dir, err)
	}
	var kept initSecrets
	if err := json.Unmarshal(raw, &kept); err != nil {
		return initSecrets{}, fmt.Errorf("decode %s, remove %s and start again: %w", path, s.dir, err)
	}
	return kept, nil
}

// saveSecrets keeps the unseal key beside the data, whole or not at all. In memory there is nothing to keep.
func (s *store) saveSecrets(made initSecrets) error {
	if s.dir == "" {
		return nil
	}
	raw, err := json.Marshal(made)
	if err != nil {
		return fmt.Errorf("encode the unseal key: %w", err)
	}
	return replaceFile(filepath.Join(s.dir, tempFolder), filepath.Join(s.dir, secretsFile), raw)
}

// atomicFiles is Vault's file storage, less a flaw that shows under kill -9: there a half-written entry is a temporary
// file among the finished ones, and a later start lists it as an entry of its own. Here temporary files have a folder
// to themselves.
type atomicFiles struct {
	*file.FileBackend
	data, temp string
}

// openFiles opens the entries in dir, which the caller has locked. Entries without their unseal key are removed: they
// are what a start leaves that was killed while it initialised, and nobody can decrypt them.
func openFiles(dir string, logger hclog.Logger) (*atomicFiles, error) {
	data, temp := filepath.Join(dir, dataFolder), filepath.Join(dir, tempFolder)
	if _, err := os.Stat(filepath.Join(dir, secretsFile)); errors.Is(err, os.ErrNotExist) {
		if err := os.RemoveAll(data); err != nil {
			return nil, fmt.Errorf("remove what a broken-off start has left, give another -storage: %w", err)
		}
	}
	if err := errors.Join(os.RemoveAll(temp), os.Mkdir(temp, 0o700)); err != nil {
		return nil, fmt.Errorf("empty the folder for temporary files, give another -storage: %w", err)
	}
	backend, err := file.NewFileBackend(map[string]string{"path": data}, logger)
	if err != nil {
		return nil, fmt.Errorf("open file storage in %s: %w", data, err)
	}
	files, ok := backend.(*file.FileBackend)
	if !ok {
		return nil, fmt.Errorf("file storage is a %T: the Vault SDK has changed, adapt atomicFiles to it", backend)
	}
	return &atomicFiles{FileBackend: files, data: data, temp: temp}, nil
}

// Put stores the entry whole or not at all. It holds FileBackend's lock, which keeps Delete from removing the folder
// in between.
func (b *atomicFiles) Put(ctx context.Context, entry *physical.Entry) error {
	b.Lock()
	defer b.Unlock()
	return b.PutInternal(ctx, entry)
}

// PutInternal is Put for callers that hold the lock. It writes the names and the format that FileBackend reads.
func (b *atomicFiles) PutInternal(ctx context.Context, entry *physical.Entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !filepath.IsLocal(entry.Key) {
		return fmt.Errorf("storage key %q leads out of the storage directory", entry.Key)
	}
	path := filepath.Join(b.data, entry.Key)
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("make the folder of storage key %q: %w", entry.Key, err)
	}
	raw, err := json.Marshal(struct{ Value []byte }{entry.Value})
	if err != nil {
		return fmt.Errorf("encode storage key %q: %w", entry.Key, err)
	}
	return replaceFile(b.temp, filepath.Join(folder, "_"+filepath.Base(path)), raw)
}

// replaceFile gives path the content raw, in one step for all who look. It does not sync to disk: the data are to
// survive the end of the process, not that of the machine.
func replaceFile(temp, path string, raw []byte) (err error) {
	f, err := os.CreateTemp(temp, "write-") // with mode 0600
	if err != nil {
		return fmt.Errorf("make a temporary file for %s: %w", path, err)
	}
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s, is the disk full? %w", path, errors.Join(err, os.Remove(f.Name())))
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("move %s into its place: %w", path, errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}
