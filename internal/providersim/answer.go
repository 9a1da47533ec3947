package providersim

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"strings"
)

// answer is what a simulator says, before it is put on the wire. A JSON answer stays a document until then, so that a
// fault can change it.
type answer struct {
	status int
	header http.Header
	doc    map[string]any
	text   string // used if doc is nil
}

func jsonAnswer(status int, doc map[string]any) answer {
	return answer{status: status, header: http.Header{"Content-Type": {"application/json; charset=utf-8"}}, doc: doc}
}

func textAnswer(status int, contentType, text string) answer {
	return answer{status: status, header: http.Header{"Content-Type": {contentType}}, text: text}
}

func htmlAnswer(status int, title string) answer {
	return textAnswer(status, "text/html; charset=utf-8",
		"<!DOCTYPE html><html><head><title>"+title+"</title></head><body><h1>"+title+"</h1></body></html>\n")
}

func redirectAnswer(status int, location string) answer {
	a := htmlAnswer(status, http.StatusText(status))
	a.header.Set("Location", location)
	return a
}

func oauthError(status int, code, description string) answer {
	return jsonAnswer(status, map[string]any{"error": code, "error_description": description})
}

// tokenAnswer is a JSON answer that no cache may keep (RFC 6749, section 5.1).
func tokenAnswer(doc map[string]any) answer {
	a := jsonAnswer(http.StatusOK, doc)
	a.header.Set("Cache-Control", "no-store")
	return a
}

func (a answer) body() []byte {
	if a.doc == nil {
		return []byte(a.text)
	}
	b, err := json.Marshal(a.doc)
	if err != nil {
		panic("providersim: an answer is no JSON: " + err.Error())
	}
	return append(b, '\n')
}

// spoil applies what a fault does to an answer that is going to be sent.
func (f *Fault) spoil(a answer) answer {
	if f.replaces() {
		a = f.replace(a)
	}
	if f.ExpiresIn != "" && a.doc != nil {
		a.doc = maps.Clone(a.doc)
		for _, field := range []string{"expires_in", "expires"} {
			if _, there := a.doc[field]; there {
				a.doc[field] = json.RawMessage(f.ExpiresIn)
			}
		}
	}
	if f.RetryAfter != "" {
		a.header = a.header.Clone()
		a.header.Set("Retry-After", f.RetryAfter)
	}
	return a
}

func (f *Fault) replace(a answer) answer {
	status := f.statusOr(http.StatusOK)
	switch {
	case f.Redirect != "":
		return redirectAnswer(f.statusOr(http.StatusTemporaryRedirect), f.Redirect)
	case f.Error != "":
		return oauthError(f.statusOr(http.StatusBadRequest), f.Error, "injected")
	case f.Body == BodyHTML:
		return htmlAnswer(status, http.StatusText(status))
	case f.Body == BodyEmpty:
		return textAnswer(status, "application/json", "")
	case f.Body == BodyGarbage:
		return textAnswer(status, "application/json", `{"access_token": "sim-garbage", "expires_in": `)
	case f.Body == BodyOversized:
		doc := map[string]any{"padding": strings.Repeat("x", oversize)}
		maps.Copy(doc, a.doc)
		return jsonAnswer(f.statusOr(cmp.Or(a.status, http.StatusOK)), doc)
	default:
		return textAnswer(status, "text/plain; charset=utf-8", strconv.Itoa(status)+" "+http.StatusText(status)+"\n")
	}
}

func (f *Fault) statusOr(otherwise int) int { return cmp.Or(f.Status, otherwise) }

// send puts the answer on the wire, or cuts the connection as the fault says.
func (f *Fault) send(w http.ResponseWriter, a answer) {
	if f.CutBefore || f.LoseAnswer {
		panic(http.ErrAbortHandler)
	}
	a = f.spoil(a)
	body := a.body()
	maps.Copy(w.Header(), a.header)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(a.status)
	if !f.Truncate {
		_, _ = w.Write(body)
		return
	}
	_, _ = w.Write(body[:len(body)/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}
