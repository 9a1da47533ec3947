package vaultsim

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// keptVersions is how many versions of a document are kept.
const keptVersions = 10

// store is a KV version 2 store.
type store struct {
	documents map[string]*document
}

type document struct {
	created time.Time
	current int
	// guarded means that a write must name the version that it replaces.
	guarded  bool
	versions map[int]*version
}

type version struct {
	data      map[string]any
	created   time.Time
	deleted   time.Time
	destroyed bool
}

// route serves a path below the mount: its first part says what it is about.
func (s *store) route(op, path string, r *http.Request, body map[string]any) answer {
	area, name, _ := strings.Cut(path, "/")
	switch area {
	case "data":
		return s.data(op, name, r, body)
	case "metadata":
		return s.metadata(op, name, body)
	case "delete", "undelete", "destroy":
		return s.mark(area, op, name, body)
	case "config":
		return s.config(op)
	}
	return absent()
}

func (s *store) data(op, name string, r *http.Request, body map[string]any) answer {
	switch op {
	case "read":
		n, _ := strconv.Atoi(r.URL.Query().Get("version"))
		return s.read(name, n)
	case "update":
		return s.write(name, body)
	case "delete":
		if d := s.documents[name]; d != nil && d.current > 0 && d.versions[d.current].deleted.IsZero() {
			d.versions[d.current].deleted = time.Now()
		}
		return answer{status: http.StatusNoContent}
	}
	return unsupported()
}

func (s *store) read(name string, n int) answer {
	d := s.documents[name]
	if d == nil {
		return absent()
	}
	if n == 0 {
		n = d.current
	}
	v := d.versions[n]
	if v == nil {
		return absent()
	}
	meta := v.describe(n)
	if v.destroyed || !v.deleted.IsZero() {
		return answer{status: http.StatusNotFound, data: map[string]any{"data": nil, "metadata": meta}}
	}
	return answer{status: http.StatusOK, data: map[string]any{"data": v.data, "metadata": meta}}
}

func (s *store) write(name string, body map[string]any) answer {
	data, ok := body["data"].(map[string]any)
	if !ok {
		return failed(http.StatusBadRequest, "no data provided")
	}
	d := s.documents[name]
	if d == nil {
		d = &document{created: time.Now(), versions: map[int]*version{}}
	}
	options, _ := body["options"].(map[string]any)
	cas, asked := options["cas"]
	if d.guarded && !asked {
		return failed(http.StatusBadRequest, "check-and-set parameter required for this call")
	}
	if asked {
		number, _ := cas.(json.Number)
		n, err := number.Int64()
		if err != nil {
			return failed(http.StatusBadRequest, "error parsing check-and-set parameter")
		}
		if int(n) != d.current {
			return failed(http.StatusBadRequest, "check-and-set parameter did not match the current version")
		}
	}
	d.current++
	d.versions[d.current] = &version{data: data, created: time.Now()}
	delete(d.versions, d.current-keptVersions)
	s.documents[name] = d
	return answer{status: http.StatusOK, data: d.versions[d.current].describe(d.current)}
}

func (s *store) metadata(op, name string, body map[string]any) answer {
	switch op {
	case "update":
		d := s.documents[name]
		if d == nil {
			d = &document{created: time.Now(), versions: map[int]*version{}}
			s.documents[name] = d
		}
		if guarded, said := body["cas_required"].(bool); said {
			d.guarded = guarded
		}
		return answer{status: http.StatusNoContent}
	case "list":
		return s.list(name)
	case "delete":
		delete(s.documents, name)
		return answer{status: http.StatusNoContent}
	case "read":
		d := s.documents[name]
		if d == nil {
			return absent()
		}
		versions := make(map[string]any, len(d.versions))
		for n, v := range d.versions {
			versions[strconv.Itoa(n)] = v.describe(n)
		}
		return answer{status: http.StatusOK, data: map[string]any{
			"versions": versions, "current_version": d.current, "created_time": stamp(d.created),
			"max_versions": 0, "cas_required": d.guarded, "delete_version_after": "0s", "custom_metadata": nil,
		}}
	}
	return unsupported()
}

func (s *store) list(folder string) answer {
	if folder != "" && !strings.HasSuffix(folder, "/") {
		folder += "/"
	}
	var keys []string
	for name := range s.documents {
		rest, below := strings.CutPrefix(name, folder)
		if !below {
			continue
		}
		if first, _, deeper := strings.Cut(rest, "/"); deeper {
			rest = first + "/"
		}
		keys = append(keys, rest)
	}
	if len(keys) == 0 {
		return absent()
	}
	slices.Sort(keys)
	return answer{status: http.StatusOK, data: map[string]any{"keys": slices.Compact(keys)}}
}

// mark deletes, undeletes or destroys the versions that the body names.
func (s *store) mark(area, op, name string, body map[string]any) answer {
	if op != "update" {
		return unsupported()
	}
	d := s.documents[name]
	list, ok := body["versions"].([]any)
	if !ok {
		return failed(http.StatusBadRequest, "no version number provided")
	}
	for _, n := range list {
		number, _ := n.(json.Number)
		n64, _ := number.Int64()
		if d == nil || d.versions[int(n64)] == nil {
			continue
		}
		v := d.versions[int(n64)]
		switch area {
		case "delete":
			v.deleted = time.Now()
		case "undelete":
			v.deleted = time.Time{}
		case "destroy":
			v.data, v.destroyed = nil, true
		}
	}
	return answer{status: http.StatusNoContent}
}

func (s *store) config(op string) answer {
	if op != "read" {
		return unsupported()
	}
	return answer{status: http.StatusOK, data: map[string]any{
		"max_versions": 0, "cas_required": false, "delete_version_after": "0s",
	}}
}

func (v *version) describe(n int) map[string]any {
	return map[string]any{
		"version": n, "created_time": stamp(v.created), "deletion_time": stamp(v.deleted),
		"destroyed": v.destroyed, "custom_metadata": nil,
	}
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func unsupported() answer { return failed(http.StatusMethodNotAllowed, "unsupported operation") }
