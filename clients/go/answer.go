package trivium

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	triviumv1 "trivium.internal/go/trivium/v1"
)

// Answer puts the events of StreamGenerate together. The zero value is ready to use, by one goroutine.
type Answer struct {
	responseID string
	candidates map[int32]*part
	info       *triviumv1.CallInfo
}

// part is a candidate and its text so far.
type part struct {
	candidate triviumv1.Candidate
	text      strings.Builder
}

// Add takes the next event. One that this version does not know changes nothing.
func (a *Answer) Add(event *triviumv1.StreamGenerateResponse) {
	switch event := event.GetEvent().(type) {
	case *triviumv1.StreamGenerateResponse_Started:
		a.responseID = event.Started.GetResponseId()
	case *triviumv1.StreamGenerateResponse_Delta:
		a.append(event.Delta)
	case *triviumv1.StreamGenerateResponse_CandidateFinished:
		a.finish(event.CandidateFinished)
	case *triviumv1.StreamGenerateResponse_Completed:
		a.info = event.Completed.GetInfo()
	}
}

func (a *Answer) append(delta *triviumv1.ContentDelta) {
	part := a.part(delta.GetCandidateIndex())
	part.text.WriteString(delta.GetText())
	part.candidate.Logprobs = append(part.candidate.Logprobs, delta.GetLogprobs()...)
	part.candidate.TokenIds = append(part.candidate.TokenIds, delta.GetTokenIds()...)
}

func (a *Answer) finish(finished *triviumv1.CandidateFinished) {
	candidate := &a.part(finished.GetCandidateIndex()).candidate
	candidate.FinishReason = finished.GetFinishReason()
	candidate.MatchedStopSequence = finished.GetMatchedStopSequence()
	candidate.MatchedStopTokenId = finished.MatchedStopTokenId
}

func (a *Answer) part(index int32) *part {
	if a.candidates == nil {
		a.candidates = map[int32]*part{}
	}
	if a.candidates[index] == nil {
		a.candidates[index] = &part{candidate: triviumv1.Candidate{Index: index}}
	}
	return a.candidates[index]
}

// Text returns the text of a candidate so far; candidates count from 0.
func (a *Answer) Text(candidate int) string {
	if part, ok := a.candidates[int32(candidate)]; ok {
		return part.text.String()
	}
	return ""
}

// Response returns what Generate would have returned, as far as it has come. Its Info, with usage and timing, is nil
// until the last event.
func (a *Answer) Response() *triviumv1.GenerateResponse {
	response := &triviumv1.GenerateResponse{ResponseId: a.responseID, Info: a.info}
	for _, part := range a.candidates {
		candidate := proto.CloneOf(&part.candidate)
		candidate.Message = &triviumv1.ChatMessage{Role: triviumv1.ChatRole_CHAT_ROLE_ASSISTANT}
		if text := part.text.String(); text != "" {
			candidate.Message.Parts = textParts(text)
		}
		response.Candidates = append(response.Candidates, candidate)
	}
	slices.SortFunc(response.Candidates, func(a, b *triviumv1.Candidate) int { return int(a.Index - b.Index) })
	return response
}
