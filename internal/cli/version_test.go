package cli

import (
	"encoding/json"
	"runtime/debug"
	"strings"
	"testing"
)

func TestDescribe(t *testing.T) {
	t.Parallel()
	recorded := &debug.BuildInfo{
		Main: debug.Module{Version: "v1.2.3"},
		Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.time", Value: "2026-01-31T12:00:00Z"}, {Key: "vcs.modified", Value: "true"},
		},
	}
	for _, tc := range []struct {
		name  string
		build Build
		info  *debug.BuildInfo
		want  string
	}{
		{"nothing known", Build{}, nil, "refresher dev, "},
		{"recorded", Build{}, recorded, "refresher v1.2.3 (abc, modified) of 2026-01-31T12:00:00Z, "},
		{"linked", Build{"v2", "def", "2026-02-01"}, recorded, "refresher v2 (def) of 2026-02-01, "},
		{"devel", Build{}, &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, "refresher dev, "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := tc.build.describe(tc.info).String(); !strings.HasPrefix(got, tc.want) {
				t.Errorf("%q does not begin with %q", got, tc.want)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	w := &world{t: t}
	contains(t, w.must(ExitOK, "version").out, "refresher ", "go1.")
	var d described
	if err := json.Unmarshal([]byte(w.must(ExitOK, "version", "-o", "json").out), &d); err != nil || d.Version == "" || d.Go == "" {
		t.Errorf("%+v %v", d, err)
	}
}
