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
	// Generation is the grant's with this answer.
	Generation int `json:"generation,omitempty"`
	escrow.Lineage
}

// lineageOf is that of the answer with a grant's refresh token.
func lineageOf(g credential.Grant) escrow.Lineage {
	return escrow.Lineage{Seed: lastSeed(g), Rotation: g.Rotation}
}

// keptHeaders are the headers that a provider's judgement may rest on.
var keptHeaders = []string{"Content-Type", "Retry-After", "Date"}

// heard is an answer, and what it belongs to.
type heard struct {
	refreshers.Answer
	escrow.Lineage
	Generation int
}

// encodeAnswer returns an answer in the form that is sealed.
func encodeAnswer(a heard) []byte {
	head := answerHead{
		StartedAt: a.StartedAt.UTC(), Status: a.Status, Header: map[string][]string{}, Truncated: a.Truncated,
		Generation: a.Generation, Lineage: a.Lineage,
	}
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
func decodeAnswer(plain []byte) (heard, error) {
	line, body, ok := bytes.Cut(plain, []byte{'\n'})
	var head answerHead
	if !ok || json.Unmarshal(line, &head) != nil || head.Status == 0 {
		return heard{}, fmt.Errorf("%w: its form is not known", escrow.ErrUnreadable)
	}
	return heard{refreshers.Answer{
		StartedAt: head.StartedAt, Status: head.Status, Header: http.Header(head.Header), Body: body, Truncated: head.Truncated,
	}, head.Lineage, head.Generation}, nil
}
