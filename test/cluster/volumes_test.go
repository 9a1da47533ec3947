package cluster

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
)

// sandbox is where a pod's container is put together, from what the API server holds.
type sandbox struct {
	api *apiClient
	pod *pod
	dir string
}

// entries returns what a ConfigMap (kind configmaps) or Secret (kind secrets) holds; nil
// if there is none and none is needed.
func (s *sandbox) entries(ctx context.Context, kind, name string, optional bool) (map[string]string, error) {
	var object struct {
		Data map[string]string `json:"data"`
	}
	err := s.api.get(ctx, "/api/v1/namespaces/"+s.pod.Metadata.Namespace+"/"+kind+"/"+name, &object)
	if optional && hasCode(err, http.StatusNotFound) {
		return nil, nil
	}
	if err != nil || kind != "secrets" {
		return object.Data, err
	}
	for key, encoded := range object.Data {
		plain, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return nil, err
		}
		object.Data[key] = string(plain)
	}
	return object.Data, nil
}

// volume makes a volume and returns the folder that holds it.
func (s *sandbox) volume(ctx context.Context, v volume) (string, error) {
	if v.Claim != nil {
		return s.claimed(ctx, v.Claim.ClaimName)
	}
	dir := filepath.Join(s.dir, "volumes", v.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	var err error
	switch {
	case v.EmptyDir != nil:
		err = s.giveToGroup(dir)
	case v.ConfigMap != nil:
		err = s.files(ctx, dir, "configmaps", v.ConfigMap.Name, v.ConfigMap)
	case v.Secret != nil:
		err = s.files(ctx, dir, "secrets", v.Secret.SecretName, v.Secret)
	case v.Projected != nil:
		err = s.projected(ctx, dir, v.Projected)
	default:
		err = errors.New("the node does not know this kind of volume yet")
	}
	if err != nil {
		return "", fmt.Errorf("volume %s: %w", v.Name, err)
	}
	return dir, nil
}

// claimed returns the folder behind a claim that is bound.
func (s *sandbox) claimed(ctx context.Context, name string) (string, error) {
	var c claim
	if err := s.api.get(ctx, "/api/v1/namespaces/"+s.pod.Metadata.Namespace+"/persistentvolumeclaims/"+name, &c); err != nil {
		return "", err
	}
	var v struct {
		Spec struct {
			HostPath struct {
				Path string `json:"path"`
			} `json:"hostPath"`
		} `json:"spec"`
	}
	if err := s.api.get(ctx, "/api/v1/persistentvolumes/"+c.Spec.VolumeName, &v); err != nil {
		return "", err
	}
	return v.Spec.HostPath.Path, s.giveToGroup(v.Spec.HostPath.Path)
}

// giveToGroup does what fsGroup asks for: the volume is the group's, for writing too.
func (s *sandbox) giveToGroup(dir string) error {
	group := s.pod.Spec.SecurityContext.FSGroup
	if group == 0 {
		return nil
	}
	return filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o660
		if entry.IsDir() {
			mode |= os.ModeSetgid | 0o110
		}
		return errors.Join(os.Lchown(path, -1, group), os.Chmod(path, mode))
	})
}

// files writes the entries of a ConfigMap or a Secret.
func (s *sandbox) files(ctx context.Context, dir, kind, name string, from *filesFrom) error {
	entries, err := s.entries(ctx, kind, name, from.Optional)
	if err != nil {
		return err
	}
	paths := from.Items
	if paths == nil {
		for key := range entries {
			paths = append(paths, keyToPath{key, key})
		}
	}
	for _, item := range paths {
		text, ok := entries[item.Key]
		if !ok {
			return fmt.Errorf("%s %s has no entry %q", kind, name, item.Key)
		}
		if err := s.write(filepath.Join(dir, item.Path), text, from.DefaultMode); err != nil {
			return err
		}
	}
	return nil
}

// write writes one file, which belongs to root and the pod's group. By fsGroup the
// group may read it, whatever the mode.
func (s *sandbox) write(path, text string, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	group := s.pod.Spec.SecurityContext.FSGroup
	if group != 0 {
		mode |= 0o440
	}
	return errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chown(path, 0, group), os.Chmod(path, mode))
}

func (s *sandbox) projected(ctx context.Context, dir string, p *projection) error {
	for _, source := range p.Sources {
		var err error
		switch {
		case source.ServiceAccountToken != nil:
			var token string
			t := source.ServiceAccountToken
			token, err = s.api.requestToken(ctx, s.pod.Metadata.Namespace, s.pod.Spec.ServiceAccountName, t.ExpirationSeconds, t.Audience, s.pod)
			if err == nil {
				err = s.write(filepath.Join(dir, t.Path), token, p.DefaultMode)
			}
		case source.ConfigMap != nil:
			err = s.files(ctx, dir, "configmaps", source.ConfigMap.Name, source.ConfigMap.with(p.DefaultMode))
		case source.Secret != nil:
			err = s.files(ctx, dir, "secrets", source.Secret.Name, source.Secret.with(p.DefaultMode))
		default:
			err = errors.New("the node does not know this projection yet")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// requestToken asks the API server for a token of a service account, as a kubelet does
// for a projected volume; bound to a pod unless that is nil.
func (a *apiClient) requestToken(ctx context.Context, namespace, account string, seconds int, audience string, to *pod) (string, error) {
	spec := map[string]any{"expirationSeconds": seconds}
	if audience != "" {
		spec["audiences"] = []string{audience}
	}
	if to != nil {
		spec["boundObjectRef"] = map[string]any{"kind": "Pod", "apiVersion": "v1", "name": to.Metadata.Name, "uid": to.Metadata.UID}
	}
	var answer struct {
		Status struct {
			Token string `json:"token"`
		} `json:"status"`
	}
	err := a.post(ctx, "/api/v1/namespaces/"+namespace+"/serviceaccounts/"+account+"/token", map[string]any{"spec": spec}, &answer)
	return answer.Status.Token, err
}
