package trivium

import (
	"strings"

	"google.golang.org/protobuf/proto"

	triviumv1 "trivium.internal/go/trivium/v1"
)

// replay knows what of an answer was given, and takes from a further stream of it what is new. A stream that breaks goes
// on in another call with the same request, which makes the same answer anew; see "Resume" in docs/sdks.md.
type replay struct {
	hasStarted bool
	digest     string // of the model that answers
	candidates map[int32]*given
	numGiven   int64
	shift      int64 // from the number of an event in the stream at hand to the caller's
	// hasProgressed: the stream at hand brought something new; heartbeats do not count.
	hasProgressed bool
	isResumed     bool
}

// replayOf returns one for a request whose answer is the same again, nil for any other.
func replayOf(request any) *replay {
	asked, ok := request.(*triviumv1.StreamGenerateRequest)
	if !ok {
		return nil
	}
	sampling := asked.GetInput().GetSampling()
	isGreedy := sampling != nil && sampling.Temperature != nil && *sampling.Temperature == 0
	isRepeatable := sampling != nil && sampling.Seed != nil || isGreedy
	if output := asked.GetInput().GetOutput(); !isRepeatable || output != nil && output.TopLogprobs != nil {
		return nil
	}
	return &replay{candidates: map[int32]*given{}}
}

// restart is called where the next event is the first one of another stream.
func (r *replay) restart() {
	r.isResumed = r.numGiven > 0
	r.hasProgressed = false
	r.shift = r.numGiven
	for _, candidate := range r.candidates {
		candidate.restart()
	}
}

// take takes the next event and tells whether it is to be given, and whether the stream is of the answer that was given
// so far. What is known is taken away of it. It is numbered as the event of one stream, so that one that is missing
// leaves a gap.
func (r *replay) take(event *triviumv1.StreamGenerateResponse) (isNew, isSame bool) {
	isNew, isSame = r.isNew(event)
	if r.isResumed && !(isNew && isSame) { // what a first stream brings is new in any case
		r.shift--
		return false, isSame
	}
	event.Sequence += r.shift
	r.numGiven++
	r.hasProgressed = r.hasProgressed || event.GetEvent() != nil && event.GetHeartbeat() == nil
	return true, true
}

func (r *replay) isNew(event *triviumv1.StreamGenerateResponse) (isNew, isSame bool) {
	switch event := event.GetEvent().(type) {
	case *triviumv1.StreamGenerateResponse_Started:
		return r.start(event.Started.GetModel().GetDigest())
	case *triviumv1.StreamGenerateResponse_Delta:
		return r.candidate(event.Delta.GetCandidateIndex()).trim(event.Delta)
	case *triviumv1.StreamGenerateResponse_CandidateFinished:
		return r.candidate(event.CandidateFinished.GetCandidateIndex()).finish(event.CandidateFinished)
	case *triviumv1.StreamGenerateResponse_Completed:
		return true, !r.isBehind()
	default:
		return !r.isBehind(), true
	}
}

func (r *replay) start(digest string) (isNew, isSame bool) {
	if !r.hasStarted {
		r.hasStarted, r.digest = true, digest
		return true, true
	}
	return false, r.digest == digest
}

func (r *replay) candidate(index int32) *given {
	if r.candidates[index] == nil {
		r.candidates[index] = &given{}
	}
	return r.candidates[index]
}

func (r *replay) isBehind() bool {
	for _, candidate := range r.candidates {
		if candidate.isBehind() {
			return true
		}
	}
	return false
}

// given is what was given of a candidate, and how much of that the stream at hand has still to bring.
type given struct {
	text       strings.Builder
	numTokens  int32
	end        *triviumv1.CandidateFinished
	owed       string
	owedTokens int32
}

func (g *given) isBehind() bool {
	return g.owed != ""
}

func (g *given) restart() {
	g.owed, g.owedTokens = g.text.String(), g.numTokens
}

// trim takes away of a delta what was given already; isNew: something is left.
func (g *given) trim(delta *triviumv1.ContentDelta) (isNew, isSame bool) {
	text := delta.GetText()
	known := min(len(text), len(g.owed))
	if text[:known] != g.owed[:known] || g.end != nil && len(text) > known {
		return false, false
	}
	knownTokens := max(0, min(delta.TokenCount, g.owedTokens))
	wasBehind := g.isBehind() || knownTokens > 0
	g.owed, g.owedTokens = g.owed[known:], g.owedTokens-knownTokens
	if wasBehind {
		delta.Delta = &triviumv1.ContentDelta_Text{Text: text[known:]}
		delta.TokenCount -= knownTokens
		delta.TokenIds = delta.TokenIds[min(len(delta.TokenIds), int(knownTokens)):]
	}
	if wasBehind && delta.GetText() == "" && delta.TokenCount <= 0 {
		return false, true
	}
	g.text.WriteString(delta.GetText())
	g.numTokens += max(0, delta.TokenCount)
	return true, true
}

func (g *given) finish(finished *triviumv1.CandidateFinished) (isNew, isSame bool) {
	if g.end == nil && !g.isBehind() {
		g.end = finished
		return true, true
	}
	return false, !g.isBehind() && proto.Equal(g.end, finished)
}
