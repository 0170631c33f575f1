package trivium

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	statusv1 "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	triviumv1 "trivium.internal/go/trivium/v1"
)

// Embed returns a vector for each text, in their order. A text that fails fails alone: its vector is nil, and the error
// joins those of all such texts. See Embeddings.Embed for purposes, dimensions and other encodings.
func (c *Client) Embed(ctx context.Context, texts []string, options ...grpc.CallOption) ([][]float32, error) {
	ctx, cancel := c.conn.limit(ctx)
	defer cancel()
	model, err := c.choice.name(ctx, triviumv1.Capability_CAPABILITY_EMBED_TEXT, options)
	if err != nil {
		return nil, err
	}
	request := &triviumv1.EmbedRequest{Config: &triviumv1.EmbedConfig{
		Model:    model,
		Encoding: triviumv1.VectorEncoding_VECTOR_ENCODING_FLOAT32_BYTES,
	}}
	for _, text := range texts {
		request.Items = append(request.Items, &triviumv1.EmbedItem{Input: &triviumv1.EmbedItem_Text{Text: text}})
	}
	response, err := c.Embeddings.Embed(ctx, request, options...)
	if err != nil {
		return nil, err
	}
	return arrange(len(texts), response.GetResults(), nil, func(result *triviumv1.EmbedResult) ([]float32, error) {
		return Vector(result.GetEmbedding())
	})
}

// Compare returns, for each target, the cosine of the angle between its vector and the source's, -1 to 1. A target that
// fails fails alone: its value is NaN, and the error joins those of all such targets.
func (c *Client) Compare(
	ctx context.Context, source string, targets []string, options ...grpc.CallOption,
) ([]float32, error) {
	ctx, cancel := c.conn.limit(ctx)
	defer cancel()
	model, err := c.choice.name(ctx, triviumv1.Capability_CAPABILITY_EMBED_TEXT, options)
	if err != nil {
		return nil, err
	}
	request := &triviumv1.CompareTextsRequest{Model: model, Source: source, Targets: targets}
	response, err := c.Embeddings.CompareTexts(ctx, request, options...)
	if err != nil {
		return nil, err
	}
	none := float32(math.NaN())
	return arrange(len(targets), response.GetComparisons(), none, func(one *triviumv1.TextComparison) (float32, error) {
		return one.GetSimilarity(), nil
	})
}

// Vector returns the components of a dense vector in whatever encoding it came; of one bit each, 1 where it is set and
// -1 where it is not. The error is an [*Error] with DATA_LOSS: a vector of another kind, or one that is cut off.
func Vector(embedding *triviumv1.Embedding) ([]float32, error) {
	switch vector := embedding.GetVector().(type) {
	case *triviumv1.Embedding_Dense:
		return vector.Dense.GetValues(), nil
	case *triviumv1.Embedding_Packed:
		return unpack(vector.Packed)
	default:
		return nil, damaged("the embedding is no dense vector but %T", vector)
	}
}

func unpack(packed *triviumv1.PackedVector) ([]float32, error) {
	data, count := packed.GetData(), int(packed.GetDimensions())
	var size int
	var component func(i int) float32
	switch packed.GetEncoding() {
	case triviumv1.VectorEncoding_VECTOR_ENCODING_FLOAT32_BYTES:
		size = 4 * count
		component = func(i int) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:])) }
	case triviumv1.VectorEncoding_VECTOR_ENCODING_FLOAT16_BYTES:
		size = 2 * count
		component = func(i int) float32 { return float16(binary.LittleEndian.Uint16(data[2*i:])) }
	case triviumv1.VectorEncoding_VECTOR_ENCODING_INT8_BYTES:
		size = count
		component = func(i int) float32 { return float32(int8(data[i])) * packed.GetScale() }
	case triviumv1.VectorEncoding_VECTOR_ENCODING_BINARY_BYTES:
		size = (count + 7) / 8
		component = func(i int) float32 { return float32(int(data[i/8]>>(7-i%8)&1)*2 - 1) }
	default:
		return nil, damaged("a vector came in encoding %v, which this version cannot read", packed.GetEncoding())
	}
	if count < 0 || len(data) != size {
		return nil, damaged("a vector of %d components came in %d bytes as %v", count, len(data), packed.GetEncoding())
	}
	vector := make([]float32, count)
	for i := range vector {
		vector[i] = component(i)
	}
	return vector, nil
}

// float16 converts from IEEE 754 binary16.
func float16(bits uint16) float32 {
	sign, exponent, fraction := uint32(bits>>15)<<31, int(bits>>10&0x1f), uint32(bits&0x3ff)
	switch exponent {
	case 0: // zero, or smaller than the smallest normal number
		magnitude := float32(math.Ldexp(float64(fraction), -24))
		return math.Float32frombits(sign | math.Float32bits(magnitude))
	case 0x1f: // infinite, or no number
		return math.Float32frombits(sign | 0xff<<23 | fraction<<13)
	default:
		return math.Float32frombits(sign | uint32(exponent+127-15)<<23 | fraction<<13)
	}
}

// outcome is the result of one item of a call.
type outcome interface {
	GetIndex() int32
	GetError() *statusv1.Status
}

// arrange puts results in the places of their items; the value of one that failed alone is none, and its error is joined.
func arrange[Result outcome, Value any](
	count int, results []Result, none Value, value func(Result) (Value, error),
) ([]Value, error) {
	if len(results) != count {
		return nil, damaged("the server sent %d results for %d items", len(results), count)
	}
	values := slices.Repeat([]Value{none}, count)
	var failed []error
	for _, result := range results {
		index := int(result.GetIndex())
		if index < 0 || index >= count {
			return nil, damaged("the server sent a result for item %d of %d", index, count)
		}
		if err := ErrorFromStatus(result.GetError()); err != nil {
			failed = append(failed, fmt.Errorf("item %d: %w", index, err))
			continue
		}
		var err error
		if values[index], err = value(result); err != nil {
			return nil, err
		}
	}
	return values, errors.Join(failed...)
}

func damaged(format string, arguments ...any) *Error {
	return &Error{Code: codes.DataLoss, Message: fmt.Sprintf(format, arguments...)}
}
