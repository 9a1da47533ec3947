package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// entrypoint is where the image has the service, and what it starts.
const entrypoint = "/refresher"

// assemble makes of the pod, as the API server has stored it, what its container is
// started with.
func (s *sandbox) assemble(ctx context.Context, ip string, services []service) (*containerSpec, error) {
	c := &s.pod.Spec.Containers[0]
	spec := &containerSpec{
		Root:         filepath.Join(s.dir, "root"),
		ReadOnlyRoot: c.SecurityContext.ReadOnlyRootFilesystem,
		Hostname:     s.pod.Metadata.Name,
		NoNewPrivs:   c.SecurityContext.AllowPrivilegeEscalation != nil && !*c.SecurityContext.AllowPrivilegeEscalation,
	}
	if err := s.user(spec); err != nil {
		return nil, err
	}
	if err := s.program(spec); err != nil {
		return nil, err
	}
	if err := s.hosts(spec, ip, services); err != nil {
		return nil, err
	}
	if err := s.mounts(ctx, spec); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(spec.Root, "proc"), 0o755); err != nil {
		return nil, err
	}
	var err error
	spec.Env, err = s.environment(ctx, ip)
	return spec, err
}

func (s *sandbox) user(spec *containerSpec) error {
	all, own := s.pod.Spec.SecurityContext, s.pod.Spec.Containers[0].SecurityContext
	spec.UID, spec.GID = all.RunAsUser, all.RunAsGroup
	if own.RunAsUser != 0 {
		spec.UID = own.RunAsUser
	}
	if own.RunAsGroup != 0 {
		spec.GID = own.RunAsGroup
	}
	spec.Groups = slices.Clone(all.SupplementalGroups)
	if all.FSGroup != 0 {
		spec.Groups = append(spec.Groups, all.FSGroup)
	}
	if spec.UID == 0 || own.Privileged {
		return errors.New("the node runs nothing as root")
	}
	return nil
}

// program puts the binary where the image has it, and finds the command.
func (s *sandbox) program(spec *containerSpec) error {
	c := &s.pod.Spec.Containers[0]
	if name := imageName(c.Image); name != "refresher" {
		return fmt.Errorf("the node has no image %q", c.Image)
	}
	spec.Argv = slices.Concat(c.Command, c.Args)
	if len(c.Command) == 0 {
		spec.Argv = append([]string{entrypoint}, c.Args...)
	}
	for _, word := range spec.Argv {
		if strings.Contains(word, "$(") {
			return fmt.Errorf("the node does not expand variables: %q", word)
		}
	}
	return s.bind(spec, bindMount{Source: tool("refresher"), Target: entrypoint, ReadOnly: true})
}

// imageName is the last part of an image's repository.
func imageName(image string) string {
	image, _, _ = strings.Cut(image, "@")
	name := image[strings.LastIndex(image, "/")+1:]
	name, _, _ = strings.Cut(name, ":")
	return name
}

// hosts writes /etc/hosts: the pod's own name, and those of Services.
func (s *sandbox) hosts(spec *containerSpec, ip string, services []service) error {
	text := "127.0.0.1 localhost\n" + ip + " " + s.pod.Metadata.Name + "\n"
	for i, service := range services {
		text += service.address(i) + " " + service.name + "\n"
	}
	file := filepath.Join(s.dir, "hosts")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return err
	}
	return s.bind(spec, bindMount{Source: file, Target: "/etc/hosts"})
}

func (s *sandbox) mounts(ctx context.Context, spec *containerSpec) error {
	folders := map[string]string{}
	for _, v := range s.pod.Spec.Volumes {
		folder, err := s.volume(ctx, v)
		if err != nil {
			return err
		}
		folders[v.Name] = folder
	}
	for _, m := range s.pod.Spec.Containers[0].VolumeMounts {
		source := bindMount{Source: filepath.Join(folders[m.Name], m.SubPath), Target: m.MountPath, ReadOnly: m.ReadOnly}
		if err := s.bind(spec, source); err != nil {
			return err
		}
	}
	return nil
}

// bind adds a mount, and makes the place for it.
func (s *sandbox) bind(spec *containerSpec, m bindMount) error {
	target := filepath.Join(spec.Root, m.Target)
	info, err := os.Stat(m.Source)
	if err != nil {
		return err
	}
	if info.IsDir() {
		err = os.MkdirAll(target, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(target), 0o755); err == nil {
		err = os.WriteFile(target, nil, 0o644)
	}
	spec.Mounts = append(spec.Mounts, m)
	return err
}

// environment is what a kubelet gives a container: the Services' variables, if the pod
// wants them, and then its own.
func (s *sandbox) environment(ctx context.Context, ip string) ([]string, error) {
	env := []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/",
		"HOSTNAME=" + s.pod.Metadata.Name, "KUBERNETES_SERVICE_HOST=10.96.0.1", "KUBERNETES_SERVICE_PORT=443",
	}
	if links := s.pod.Spec.EnableServiceLinks; links == nil || *links {
		linked, err := s.serviceLinks(ctx)
		if err != nil {
			return nil, err
		}
		env = append(env, linked...)
	}
	for _, v := range s.pod.Spec.Containers[0].Env {
		value, found, err := s.value(ctx, v, ip)
		if err != nil {
			return nil, fmt.Errorf("variable %s: %w", v.Name, err)
		}
		if found {
			env = append(env, v.Name+"="+value)
		}
	}
	return env, nil
}

// serviceLinks are the variables that tell of the namespace's Services.
func (s *sandbox) serviceLinks(ctx context.Context) ([]string, error) {
	var services struct {
		Items []struct {
			Metadata metadata `json:"metadata"`
			Spec     struct {
				ClusterIP string `json:"clusterIP"`
				Ports     []struct {
					Port int `json:"port"`
				} `json:"ports"`
			} `json:"spec"`
		} `json:"items"`
	}
	if err := s.api.get(ctx, "/api/v1/namespaces/"+s.pod.Metadata.Namespace+"/services", &services); err != nil {
		return nil, err
	}
	var env []string
	for _, service := range services.Items {
		if service.Spec.ClusterIP == "None" || len(service.Spec.Ports) == 0 {
			continue
		}
		prefix := strings.ToUpper(strings.ReplaceAll(service.Metadata.Name, "-", "_"))
		port := strconv.Itoa(service.Spec.Ports[0].Port)
		env = append(env, prefix+"_SERVICE_HOST="+service.Spec.ClusterIP, prefix+"_SERVICE_PORT="+port,
			prefix+"_PORT=tcp://"+service.Spec.ClusterIP+":"+port)
	}
	return env, nil
}

// value resolves a variable; found is false if it comes from an optional thing that is
// not there.
func (s *sandbox) value(ctx context.Context, v envVar, ip string) (value string, found bool, err error) {
	switch {
	case strings.Contains(v.Value, "$("):
		return "", false, errors.New("the node does not expand variables")
	case v.ValueFrom == nil:
		return v.Value, true, nil
	case v.ValueFrom.SecretKeyRef != nil:
		return s.entry(ctx, "secrets", v.ValueFrom.SecretKeyRef)
	case v.ValueFrom.ConfigMapKeyRef != nil:
		return s.entry(ctx, "configmaps", v.ValueFrom.ConfigMapKeyRef)
	case v.ValueFrom.FieldRef != nil:
		fields := map[string]string{
			"metadata.name": s.pod.Metadata.Name, "metadata.namespace": s.pod.Metadata.Namespace, "metadata.uid": s.pod.Metadata.UID,
			"spec.nodeName": s.pod.Spec.NodeName, "spec.serviceAccountName": s.pod.Spec.ServiceAccountName, "status.podIP": ip,
		}
		value, found = fields[v.ValueFrom.FieldRef.FieldPath]
		if !found {
			err = fmt.Errorf("the node does not know the field %s yet", v.ValueFrom.FieldRef.FieldPath)
		}
		return value, found, err
	default:
		return "", false, errors.New("the node does not know this source yet")
	}
}

func (s *sandbox) entry(ctx context.Context, kind string, ref *keyRef) (value string, found bool, err error) {
	entries, err := s.entries(ctx, kind, ref.Name, ref.Optional)
	if err != nil {
		return "", false, err
	}
	value, found = entries[ref.Key]
	if !found && !ref.Optional {
		err = fmt.Errorf("%s %s has no entry %q", kind, ref.Name, ref.Key)
	}
	return value, found, err
}
