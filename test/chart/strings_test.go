package chart

import "testing"

// TestStringsStayStrings gives everything a name that YAML would read as a number, and
// has Kubernetes's own description of its objects judge.
func TestStringsStayStrings(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ on, strings string }{
		"names": {
			"serviceMonitor.enabled=true,prometheusRule.enabled=true,grafanaDashboard.enabled=true,networkPolicy.enabled=true,redis.dev.enabled=true",
			"fullnameOverride=1e3,nameOverride=7,serviceAccount.name=4,priorityClassName=5,image.repository=6,image.tag=7," +
				"persistence.storageClass=8,persistence.size=1,serviceMonitor.namespace=10,grafanaDashboard.namespace=11," +
				"redis.dev.image.registry=,redis.dev.image.repository=6,redis.dev.image.tag=7",
		},
		"an ingress": {
			"ingress.enabled=true,podMonitor.enabled=true",
			"ingress.className=9,ingress.hosts[0].host=1,ingress.hosts[0].paths[0].path=/2,ingress.hosts[0].paths[0].pathType=Prefix,podMonitor.namespace=3",
		},
		"secrets": {
			"redis.tls.enabled=true",
			"vault.caSecret.name=1,vault.caSecret.key=2,redis.existingSecret=3,redis.secretKeys.password=4,redis.tls.caSecret.name=6," +
				"redis.tls.caSecret.key=7,vault.auth.method=approle,vault.auth.approle.existingSecret=8,vault.auth.approle.roleIdKey=9," +
				"vault.auth.approle.secretIdKey=10",
		},
		"a URL and a token": {
			"persistence.enabled=false",
			"redis.existingSecret=3,redis.secretKeys.url=5,vault.auth.method=token,vault.auth.token.existingSecret=8,vault.auth.token.key=9",
		},
	}
	manifests := map[string]string{}
	for name, test := range tests {
		text, err := helm(t, "template", "123", chartDir, "--namespace=456", "--set="+test.on, "--set-string="+test.strings)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		manifests[name] = text
	}
	conform(t, manifests)
}

// TestNoKeyTwice names keys of the chart's own in the values: YAML allows a key once, and
// by some of these things are found.
func TestNoKeyTwice(t *testing.T) {
	t.Parallel()
	all := objects(t, mustTemplate(t,
		"--set-json", `persistence={"labels":{"app.kubernetes.io/name":"mine","backup":"daily"}}`,
		"--set-json", `podAnnotations={"checksum/config":"mine","helm.sh/hook":"pre-install","helm.sh/hook-delete-policy":"mine","a":"b"}`))
	set := find(t, all, "StatefulSet", "r-refresher")
	claims := at[[]any](set, "spec", "volumeClaimTemplates")
	claim, _ := claims[0].(object)
	if got := at[object](claim, "metadata", "labels"); got["app.kubernetes.io/name"] != "refresher" || got["backup"] != "daily" {
		t.Errorf("the claims' labels are %v", got)
	}
	pod := at[object](set, "spec", "template", "metadata", "annotations")
	if pod["checksum/config"] == "mine" || pod["a"] != "b" {
		t.Errorf("the pods' annotations are %v", pod)
	}
	doctor := at[object](find(t, all, "Pod", "r-refresher-doctor"), "metadata", "annotations")
	if doctor["helm.sh/hook"] != "test" || doctor["helm.sh/hook-delete-policy"] != "before-hook-creation" || doctor["a"] != "b" {
		t.Errorf("the annotations of the Helm test's pod are %v", doctor)
	}
}
