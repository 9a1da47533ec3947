package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
)

// The parts of a Pod that the node honours. Fields of type `any` are those that make no
// difference here, or that somebody else enforces. A field that is not listed fails the
// test, so that nothing the chart asks for goes unnoticed.

type pod struct {
	Metadata metadata        `json:"metadata"`
	RawSpec  json.RawMessage `json:"spec"`
	Status   podStatus       `json:"status"`
	Spec     podSpec         `json:"-"`
}

type metadata struct {
	Name                       string            `json:"name"`
	Namespace                  string            `json:"namespace"`
	UID                        string            `json:"uid"`
	Labels                     map[string]string `json:"labels"`
	Annotations                map[string]string `json:"annotations"`
	DeletionTimestamp          string            `json:"deletionTimestamp"`
	DeletionGracePeriodSeconds int               `json:"deletionGracePeriodSeconds"`
}

type podStatus struct {
	Phase string `json:"phase"`
}

type podSpec struct {
	NodeName           string      `json:"nodeName"`
	ServiceAccountName string      `json:"serviceAccountName"`
	RestartPolicy      string      `json:"restartPolicy"`
	EnableServiceLinks *bool       `json:"enableServiceLinks"`
	SecurityContext    podSecurity `json:"securityContext"`
	Volumes            []volume    `json:"volumes"`
	Containers         []container `json:"containers"`

	// The API server puts it into metadata.deletionGracePeriodSeconds.
	TerminationGracePeriodSeconds any `json:"terminationGracePeriodSeconds"`
	// The service account's admission has made the volumes of it.
	AutomountServiceAccountToken any `json:"automountServiceAccountToken"`
	ServiceAccount               any `json:"serviceAccount"`
	// There is one node, and one image on it.
	Affinity                  any `json:"affinity"`
	ImagePullSecrets          any `json:"imagePullSecrets"`
	NodeSelector              any `json:"nodeSelector"`
	PreemptionPolicy          any `json:"preemptionPolicy"`
	Priority                  any `json:"priority"`
	PriorityClassName         any `json:"priorityClassName"`
	SchedulerName             any `json:"schedulerName"`
	Tolerations               any `json:"tolerations"`
	TopologySpreadConstraints any `json:"topologySpreadConstraints"`
	// Names are those of /etc/hosts.
	DNSPolicy any `json:"dnsPolicy"`
	Hostname  any `json:"hostname"`
	Subdomain any `json:"subdomain"`
}

type podSecurity struct {
	RunAsUser           int   `json:"runAsUser"`
	RunAsGroup          int   `json:"runAsGroup"`
	RunAsNonRoot        bool  `json:"runAsNonRoot"`
	FSGroup             int   `json:"fsGroup"`
	SupplementalGroups  []int `json:"supplementalGroups"`
	FSGroupChangePolicy any   `json:"fsGroupChangePolicy"`
	SeccompProfile      any   `json:"seccompProfile"`
}

type container struct {
	Name            string            `json:"name"`
	Image           string            `json:"image"`
	Command         []string          `json:"command"`
	Args            []string          `json:"args"`
	Env             []envVar          `json:"env"`
	Ports           []port            `json:"ports"`
	VolumeMounts    []volumeMount     `json:"volumeMounts"`
	SecurityContext containerSecurity `json:"securityContext"`
	StartupProbe    *probe            `json:"startupProbe"`
	LivenessProbe   *probe            `json:"livenessProbe"`
	ReadinessProbe  *probe            `json:"readinessProbe"`

	ImagePullPolicy          any `json:"imagePullPolicy"`
	Resources                any `json:"resources"`
	TerminationMessagePath   any `json:"terminationMessagePath"`
	TerminationMessagePolicy any `json:"terminationMessagePolicy"`
}

type containerSecurity struct {
	AllowPrivilegeEscalation *bool `json:"allowPrivilegeEscalation"`
	ReadOnlyRootFilesystem   bool  `json:"readOnlyRootFilesystem"`
	RunAsUser                int   `json:"runAsUser"`
	RunAsGroup               int   `json:"runAsGroup"`
	RunAsNonRoot             bool  `json:"runAsNonRoot"`
	Privileged               bool  `json:"privileged"`
	// The node drops all; the restricted level allows nothing else but one.
	Capabilities   any `json:"capabilities"`
	SeccompProfile any `json:"seccompProfile"`
}

type port struct {
	Name          string `json:"name"`
	ContainerPort int    `json:"containerPort"`
	Protocol      any    `json:"protocol"`
}

type envVar struct {
	Name      string     `json:"name"`
	Value     string     `json:"value"`
	ValueFrom *envSource `json:"valueFrom"`
}

type envSource struct {
	SecretKeyRef    *keyRef   `json:"secretKeyRef"`
	ConfigMapKeyRef *keyRef   `json:"configMapKeyRef"`
	FieldRef        *fieldRef `json:"fieldRef"`
}

type keyRef struct {
	Name     string `json:"name"`
	Key      string `json:"key"`
	Optional bool   `json:"optional"`
}

type fieldRef struct {
	FieldPath  string `json:"fieldPath"`
	APIVersion any    `json:"apiVersion"`
}

type volumeMount struct {
	Name              string `json:"name"`
	MountPath         string `json:"mountPath"`
	ReadOnly          bool   `json:"readOnly"`
	SubPath           string `json:"subPath"`
	RecursiveReadOnly any    `json:"recursiveReadOnly"`
}

type volume struct {
	Name      string        `json:"name"`
	ConfigMap *filesFrom    `json:"configMap"`
	Secret    *filesFrom    `json:"secret"`
	EmptyDir  any           `json:"emptyDir"`
	Projected *projection   `json:"projected"`
	Claim     *claimedClaim `json:"persistentVolumeClaim"`
}

type claimedClaim struct {
	ClaimName string `json:"claimName"`
	ReadOnly  bool   `json:"readOnly"`
}

// filesFrom makes files of a ConfigMap's or a Secret's entries.
type filesFrom struct {
	Name        string      `json:"name"`
	SecretName  string      `json:"secretName"`
	Items       []keyToPath `json:"items"`
	Optional    bool        `json:"optional"`
	DefaultMode os.FileMode `json:"defaultMode"`
}

// with is the same with another mode, which a projection has for all its sources.
func (f *filesFrom) with(mode os.FileMode) *filesFrom {
	changed := *f
	changed.DefaultMode = mode
	return &changed
}

type keyToPath struct {
	Key  string `json:"key"`
	Path string `json:"path"`
}

type projection struct {
	DefaultMode os.FileMode `json:"defaultMode"`
	Sources     []struct {
		ServiceAccountToken *tokenProjection `json:"serviceAccountToken"`
		ConfigMap           *filesFrom       `json:"configMap"`
		Secret              *filesFrom       `json:"secret"`
	} `json:"sources"`
}

type tokenProjection struct {
	Audience          string `json:"audience"`
	ExpirationSeconds int    `json:"expirationSeconds"`
	Path              string `json:"path"`
}

type probe struct {
	HTTPGet struct {
		Path   string          `json:"path"`
		Port   json.RawMessage `json:"port"`
		Scheme string          `json:"scheme"`
	} `json:"httpGet"`
	PeriodSeconds       int `json:"periodSeconds"`
	FailureThreshold    int `json:"failureThreshold"`
	TimeoutSeconds      int `json:"timeoutSeconds"`
	InitialDelaySeconds any `json:"initialDelaySeconds"`
	SuccessThreshold    any `json:"successThreshold"`
}

// readSpec decodes what the API server has stored, and refuses what is not known here.
func (p *pod) readSpec() error {
	decoder := json.NewDecoder(bytes.NewReader(p.RawSpec))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p.Spec); err != nil {
		return fmt.Errorf("the node does not honour this yet: %w", err)
	}
	if len(p.Spec.Containers) != 1 {
		return fmt.Errorf("the node runs pods of one container, not of %d", len(p.Spec.Containers))
	}
	return nil
}

// portNumber resolves a probe's port, a number or the name of a port.
func (c *container) portNumber(raw json.RawMessage) (int, error) {
	var number int
	if json.Unmarshal(raw, &number) == nil {
		return number, nil
	}
	var name string
	if err := json.Unmarshal(raw, &name); err != nil {
		return 0, err
	}
	for _, p := range c.Ports {
		if p.Name == name {
			return p.ContainerPort, nil
		}
	}
	return 0, fmt.Errorf("the container has no port %q", name)
}
