package renewal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"refresher/internal/credential"
	"refresher/internal/escrow"
	"refresher/refreshers"
)

// answerHead is the first line of an answer as it is sealed; the raw body follows.
type answerHead struct {
	StartedAt time.Time           `json:"started_at"`
	Status    int                 `json:"status"`
	Header    map[string][]string `json:"header,omitempty"`
	Truncated bool                `json:"truncated,omitempty"`
	lineage
}

// lineage says where an answer stands in the life of a grant: which authorization its token
// comes from, and which generation the grant is with it.
type lineage struct {
	Seed       string `json:"seed,omitempty"`
	Generation int    `json:"generation,omitempty"`
}

// after reports whether it comes later than what a document holds, in the life of the same
// authorization.
func (l lineage) after(doc credential.Grant) bool {
	return l.Seed != "" && l.Seed == lastSeed(doc) && l.Generation > doc.Generation
}

// keptHeaders are the headers that a provider's judgement may rest on.
var keptHeaders = []string{"Content-Type", "Retry-After", "Date"}

// encodeAnswer returns an answer in the form that is sealed.
func encodeAnswer(a refreshers.Answer, of lineage) []byte {
	head := answerHead{StartedAt: a.StartedAt.UTC(), Status: a.Status, Header: map[string][]string{}, Truncated: a.Truncated, lineage: of}
	for _, name := range keptHeaders {
		if values := a.Header.Values(name); len(values) > 0 {
			head.Header[name] = values[:1]
		}
	}
	line, err := json.Marshal(head)
	if err != nil {
		panic(err) // times, numbers and strings always marshal
	}
	return bytes.Join([][]byte{line, a.Body}, []byte{'\n'})
}

// decodeAnswer is the way back.
func decodeAnswer(plain []byte) (refreshers.Answer, lineage, error) {
	line, body, ok := bytes.Cut(plain, []byte{'\n'})
	var head answerHead
	if !ok || json.Unmarshal(line, &head) != nil || head.Status == 0 {
		return refreshers.Answer{}, lineage{}, fmt.Errorf("%w: its form is not known", escrow.ErrUnreadable)
	}
	return refreshers.Answer{
		StartedAt: head.StartedAt, Status: head.Status, Header: http.Header(head.Header), Body: body, Truncated: head.Truncated,
	}, head.lineage, nil
}
