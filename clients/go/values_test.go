package trivium_test

import (
	"errors"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	trivium "trivium.internal/go"
	triviumv1 "trivium.internal/go/trivium/v1"
)

func TestVectorReadsEveryEncoding(t *testing.T) {
	cases := map[string]struct {
		packed *triviumv1.PackedVector
		want   []float32
	}{
		"float32": {&triviumv1.PackedVector{
			Encoding: triviumv1.VectorEncoding_VECTOR_ENCODING_FLOAT32_BYTES, Dimensions: 2, Data: []byte("\x00\x00\x80\x3f\x00\x00\x00\xc0"),
		}, []float32{1, -2}},
		// 1, the largest number, the smallest one, the smallest normal one, -0.5
		"float16": {&triviumv1.PackedVector{
			Encoding: triviumv1.VectorEncoding_VECTOR_ENCODING_FLOAT16_BYTES, Dimensions: 5, Data: []byte("\x00\x3c\xff\x7b\x01\x00\x00\x04\x00\xb8"),
		}, []float32{1, 65504, 0x1p-24, 0x1p-14, -0.5}},
		"int8": {&triviumv1.PackedVector{
			Encoding: triviumv1.VectorEncoding_VECTOR_ENCODING_INT8_BYTES, Dimensions: 2, Data: []byte{127, 0x81}, Scale: proto.Float32(0.5),
		}, []float32{63.5, -63.5}},
		"binary": {&triviumv1.PackedVector{
			Encoding: triviumv1.VectorEncoding_VECTOR_ENCODING_BINARY_BYTES, Dimensions: 9, Data: []byte{0b10000001, 0x80},
		}, []float32{1, -1, -1, -1, -1, -1, -1, 1, 1}},
	}
	for name, c := range cases {
		embedding := &triviumv1.Embedding{Vector: &triviumv1.Embedding_Packed{Packed: c.packed}}
		if vector, err := trivium.Vector(embedding); err != nil || !slices.Equal(vector, c.want) {
			t.Errorf("%s: %v, %v", name, vector, err)
		}
		c.packed.Data = c.packed.Data[1:]
		if _, err := trivium.Vector(embedding); status.Code(err) != codes.DataLoss {
			t.Errorf("%s, cut short: %v", name, err)
		}
	}
	dense := &triviumv1.Embedding{Vector: &triviumv1.Embedding_Dense{Dense: &triviumv1.FloatVector{Values: []float32{3}}}}
	if vector, err := trivium.Vector(dense); err != nil || !slices.Equal(vector, []float32{3}) {
		t.Error(vector, err)
	}
	if _, err := trivium.Vector(&triviumv1.Embedding{}); status.Code(err) != codes.DataLoss {
		t.Error(err)
	}
}

func TestTextThatFailsFailsAlone(t *testing.T) {
	server := script(t, func(a attempt) error {
		failed := status.Convert(fails(codes.InvalidArgument, trivium.ErrInputTooLong)).Proto()
		vector := &triviumv1.Embedding{Vector: &triviumv1.Embedding_Dense{Dense: &triviumv1.FloatVector{Values: []float32{3}}}}
		return a.SendMsg(&triviumv1.EmbedResponse{Results: []*triviumv1.EmbedResult{
			{Index: 1, Outcome: &triviumv1.EmbedResult_Error{Error: failed}},
			{Index: 0, Outcome: &triviumv1.EmbedResult_Embedding{Embedding: vector}},
		}})
	})
	client := connect(t, server.target)
	vectors, err := client.Embed(t.Context(), []string{"a", "b"}, trivium.Model("m"))
	if !errors.Is(err, trivium.ErrInputTooLong) || len(vectors) != 2 || !slices.Equal(vectors[0], []float32{3}) || vectors[1] != nil {
		t.Error(vectors, err)
	}
	if _, err := client.Embed(t.Context(), []string{"a"}, trivium.Model("m")); status.Code(err) != codes.DataLoss {
		t.Error(err)
	}
}

func TestAnswerIsWhatGenerateWouldReturn(t *testing.T) {
	delta := func(candidate int32, text string, id uint32) *triviumv1.StreamGenerateResponse {
		return &triviumv1.StreamGenerateResponse{Event: &triviumv1.StreamGenerateResponse_Delta{Delta: &triviumv1.ContentDelta{
			CandidateIndex: candidate, Delta: &triviumv1.ContentDelta_Text{Text: text}, TokenIds: []uint32{id},
		}}}
	}
	finished := &triviumv1.StreamGenerateResponse_CandidateFinished{CandidateFinished: &triviumv1.CandidateFinished{
		CandidateIndex: 1, FinishReason: triviumv1.FinishReason_FINISH_REASON_STOP, MatchedStopTokenId: proto.Uint32(9),
	}}
	info := &triviumv1.CallInfo{RequestId: "mine"}
	var answer trivium.Answer
	for _, event := range []*triviumv1.StreamGenerateResponse{
		{Event: &triviumv1.StreamGenerateResponse_Started{Started: &triviumv1.GenerationStarted{ResponseId: "r"}}},
		delta(1, "Kyo", 1), delta(0, "To", 2), {}, delta(0, "kyo", 3),
		{Event: finished},
		{Event: &triviumv1.StreamGenerateResponse_Completed{Completed: &triviumv1.GenerationCompleted{Info: info}}},
	} {
		answer.Add(event)
	}
	if answer.Text(0) != "Tokyo" || answer.Text(1) != "Kyo" || answer.Text(2) != "" {
		t.Error(answer.Text(0), answer.Text(1))
	}
	want := &triviumv1.GenerateResponse{ResponseId: "r", Info: info, Candidates: []*triviumv1.Candidate{
		{Message: trivium.Assistant("Tokyo"), TokenIds: []uint32{2, 3}},
		{
			Index: 1, Message: trivium.Assistant("Kyo"), TokenIds: []uint32{1},
			FinishReason: triviumv1.FinishReason_FINISH_REASON_STOP, MatchedStopTokenId: proto.Uint32(9),
		},
	}}
	if got := answer.Response(); !proto.Equal(got, want) {
		t.Error(got)
	}
}
