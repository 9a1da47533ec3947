package setup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"refresher/internal/credential"
	"refresher/vault"
)

const (
	// keptVersions is how many versions of a document the store shall keep at
	// least: five rotations, each of which writes two.
	keptVersions = 10
	// readyLimit is how long a new store may take until it answers.
	readyLimit = 30 * time.Second
	// readyPoll is how often it is asked.
	readyPoll = 50 * time.Millisecond
)

// mount is the KV version 2 store. It is never upgraded from version 1: the
// paths of all its documents would change for whoever uses it.
func (p *Plan) mount() step {
	mount := p.options.Settings.Mount
	return step{
		what:     "store " + mount + "/",
		commands: storeCommands(mount),
		ensure: func(ctx context.Context, v Vault) (Result, error) {
			mounts, err := v.ReadPath(ctx, "sys/mounts")
			if err != nil {
				return Result{}, err
			}
			if kind := typeOf(mounts, mount); kind == "" {
				return p.createMount(ctx, v)
			} else if kind != "kv" {
				return Result{}, fmt.Errorf("it is of type %s: set vault.mount to another path", kind)
			}
			about, _ := mounts[mount+"/"].(map[string]any)
			options, _ := about["options"].(map[string]any)
			if options["version"] != "2" {
				return Result{}, fmt.Errorf("it is a KV store of version 1, which keeps no versions and knows no check-and-set: "+
					"set vault.mount to another path, or upgrade it if nobody else uses it: vault kv enable-versioning %s", mount)
			}
			return Result{State: Unchanged}, nil
		},
	}
}

func (p *Plan) createMount(ctx context.Context, v Vault) (Result, error) {
	mount := p.options.Settings.Mount
	body := map[string]any{"type": "kv", "options": map[string]any{"version": "2"}}
	if _, err := v.WritePath(ctx, "sys/mounts/"+mount, body); err != nil {
		return Result{}, err
	}
	return Result{State: Created}, awaitStore(ctx, v, mount+"/config")
}

// awaitStore waits while a new store prepares itself: it answers 400 meanwhile.
func awaitStore(ctx context.Context, v Vault, path string) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	poll := time.NewTicker(readyPoll)
	defer poll.Stop()
	for {
		_, err := v.ReadPath(ctx, path)
		if vault.Reason(err) != "refused" {
			return err
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return err
		}
	}
}

// config is what the store does to all documents: it must keep enough versions,
// and must not delete any by itself.
func (p *Plan) config() step {
	path := p.options.Settings.Mount + "/config"
	return step{
		what:     "settings of " + p.options.Settings.Mount + "/",
		commands: configCommands(path, p.options.ChangeShared),
		ensure: func(ctx context.Context, v Vault) (Result, error) {
			have, err := v.ReadPath(ctx, path)
			if err != nil {
				return Result{}, err
			}
			change, problem := p.configChange(have)
			if len(change) == 0 {
				return Result{State: Unchanged, Problem: problem}, nil
			}
			_, err = v.WritePath(ctx, path, change)
			return Result{State: Changed, Problem: problem}, err
		},
	}
}

// configChange returns what of the store's settings is to be changed, and what
// is wrong and stays so.
func (p *Plan) configChange(have map[string]any) (change map[string]any, problem string) {
	change = map[string]any{}
	if versions, err := strconv.Atoi(plain(have["max_versions"])); err != nil || versions < keptVersions {
		change["max_versions"] = keptVersions
	}
	text, _ := have["delete_version_after"].(string)
	// A negative duration switches it off for all documents.
	if after, err := time.ParseDuration(text); text == "" || err == nil && after <= 0 {
		return change, ""
	}
	if p.options.ChangeShared {
		change["delete_version_after"] = "0s"
		return change, ""
	}
	return change, fmt.Sprintf("delete_version_after is %s: Vault deletes every version that long after it was written, the current one too, "+
		"so that grants vanish while the service or a provider is away. Others may rely on it, so it is left alone", text)
}

// roleID only shows what the service needs to log in.
func (p *Plan) roleID(mount string) step {
	path := p.rolePath(mount) + "/role-id"
	return step{
		what:     "role ID",
		commands: []string{"vault read -field=role_id " + path, "echo"},
		ensure: func(ctx context.Context, v Vault) (Result, error) {
			answer, err := v.ReadPath(ctx, path)
			if err != nil {
				return Result{}, err
			}
			id, _ := answer["role_id"].(string)
			if id == "" {
				return Result{}, errors.New("the answer holds none")
			}
			return Result{State: Unchanged, Detail: id}, nil
		},
	}
}

// secretID makes a secret ID and writes it to a file that only its owner reads.
// It is shown nowhere.
func (p *Plan) secretID(mount string) step {
	path, name := p.rolePath(mount)+"/secret-id", p.options.SecretIDFile
	return step{
		what:     "secret ID in " + name,
		commands: secretIDCommands(path, name),
		ensure: func(ctx context.Context, v Vault) (Result, error) {
			// First the file: a secret ID that cannot be kept would live on in Vault.
			file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if errors.Is(err, os.ErrExist) {
				return Result{State: Unchanged}, nil
			}
			if err != nil {
				return Result{}, err
			}
			answer, err := v.WritePath(ctx, path, nil)
			secret, _ := answer["secret_id"].(string)
			if err == nil && secret == "" {
				err = errors.New("the answer holds no secret ID")
			}
			if err == nil {
				_, err = file.WriteString(secret + "\n")
			}
			if err = errors.Join(err, file.Close()); err != nil {
				return Result{}, errors.Join(err, os.Remove(name))
			}
			return Result{State: Created}, nil
		},
	}
}

// escrowKey stores the first key. The service would do that too; when it is here,
// the service never has to.
func (p *Plan) escrowKey() step {
	return step{
		what:     "escrow key",
		commands: escrowKeyCommands(),
		ensure: func(ctx context.Context, v Vault) (Result, error) {
			ids, err := v.EscrowKeyIDs(ctx)
			if err != nil {
				return Result{}, err
			}
			if len(ids) > 0 {
				return Result{State: Unchanged, Detail: strings.Join(ids, ", ")}, nil
			}
			key := p.options.EscrowKey
			err = v.CreateEscrowKey(ctx, key.ID, key)
			if errors.Is(err, credential.ErrConflict) {
				return Result{State: Unchanged, Detail: key.ID}, nil
			}
			return Result{State: Created, Detail: key.ID}, err
		},
	}
}
