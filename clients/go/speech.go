package trivium

import (
	"context"
	"iter"

	"google.golang.org/grpc"

	triviumv1 "trivium.internal/go/trivium/v1"
)

// SpeechClient hears and speaks. Safe for concurrent use.
type SpeechClient struct {
	triviumv1.SpeechRecognitionServiceClient
	triviumv1.SpeechSynthesisServiceClient
	conn   *conn
	choice *modelChoice
}

// Transcribe returns what is said in a recording: WAV, FLAC, Ogg Opus or MP3, up to the size of a message. Larger ones
// go in pieces over StreamRecognize.
func (c *SpeechClient) Transcribe(
	ctx context.Context, audio *triviumv1.Media, options ...grpc.CallOption,
) (*triviumv1.RecognizeResponse, error) {
	ctx, cancel := c.conn.limit(ctx)
	defer cancel()
	model, err := c.choice.name(ctx, triviumv1.Capability_CAPABILITY_RECOGNIZE_SPEECH, options)
	if err != nil {
		return nil, err
	}
	request := &triviumv1.RecognizeRequest{Config: &triviumv1.RecognitionConfig{Model: model}, Audio: audio}
	return c.Recognize(ctx, request, options...)
}

// Listen iterates what is said while it is spoken, with interim results. The audio is signed integers of 16 bits,
// little-endian, one channel, in pieces of any size; about 40 ms each is a good one.
//
// The audio is asked for on a goroutine of its own; see [Converse]. An error is the last that comes. Leaving the loop
// ends the call. For activity, endpoints and other encodings use StreamRecognize.
func (c *SpeechClient) Listen(
	ctx context.Context, audio iter.Seq[[]byte], sampleRateHz int, options ...grpc.CallOption,
) iter.Seq2[*triviumv1.TranscriptUpdate, error] {
	return func(yield func(*triviumv1.TranscriptUpdate, error) bool) {
		model, err := c.choice.name(ctx, triviumv1.Capability_CAPABILITY_RECOGNIZE_SPEECH, options)
		if err != nil {
			yield(nil, err)
			return
		}
		setup := &triviumv1.StreamRecognizeSetup{
			Config: &triviumv1.RecognitionConfig{
				Model: model,
				Format: &triviumv1.AudioFormat{
					Encoding:        triviumv1.AudioEncoding_AUDIO_ENCODING_PCM_S16LE,
					SampleRateHertz: int32(sampleRateHz),
				},
			},
			InterimResults: true,
		}
		requests := func(yield func(*triviumv1.StreamRecognizeRequest) bool) {
			if !yield(&triviumv1.StreamRecognizeRequest{Request: &triviumv1.StreamRecognizeRequest_Setup{Setup: setup}}) {
				return
			}
			for piece := range audio {
				if !yield(&triviumv1.StreamRecognizeRequest{Request: &triviumv1.StreamRecognizeRequest_Audio{Audio: piece}}) {
					return
				}
			}
		}
		for event, err := range Converse(ctx, c.StreamRecognize, requests, options...) {
			if err != nil {
				yield(nil, err)
				return
			}
			if transcript := event.GetTranscript(); transcript != nil && !yield(transcript, nil) {
				return
			}
		}
	}
}

// Speak returns a text as a WAV file, in Audio of the response. For voices, other encodings and word timings use
// Synthesize.
func (c *SpeechClient) Speak(
	ctx context.Context, text string, options ...grpc.CallOption,
) (*triviumv1.SynthesizeResponse, error) {
	ctx, cancel := c.conn.limit(ctx)
	defer cancel()
	model, err := c.choice.name(ctx, triviumv1.Capability_CAPABILITY_SYNTHESIZE_SPEECH, options)
	if err != nil {
		return nil, err
	}
	return c.Synthesize(ctx, &triviumv1.SynthesizeRequest{
		Config: &triviumv1.SynthesisConfig{Model: model},
		Input:  &triviumv1.SynthesisInput{Input: &triviumv1.SynthesisInput_Text{Text: text}},
	}, options...)
}

// SpeakStream iterates the sound of a text while it is still being written, in pieces of signed integers of 16 bits,
// little-endian, one channel, at the voice's own rate (Voice.native_sample_rate_hertz). The text may be the answer of a
// language model:
//
//	client.Speech.SpeakStream(ctx, client.Text.Stream(ctx, "Tell me a story."))
//
// The text is asked for on a goroutine of its own; see [Converse]. An error of the text ends the call, and is the cause
// of its error. For marks, interruptions and other encodings use StreamSynthesize.
func (c *SpeechClient) SpeakStream(
	ctx context.Context, text iter.Seq2[string, error], options ...grpc.CallOption,
) iter.Seq2[*triviumv1.AudioChunk, error] {
	return func(yield func(*triviumv1.AudioChunk, error) bool) {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		model, err := c.choice.name(ctx, triviumv1.Capability_CAPABILITY_SYNTHESIZE_SPEECH, options)
		if err != nil {
			yield(nil, err)
			return
		}
		setup := &triviumv1.StreamSynthesizeSetup{Config: &triviumv1.SynthesisConfig{Model: model}}
		requests := func(yield func(*triviumv1.StreamSynthesizeRequest) bool) {
			if !yield(&triviumv1.StreamSynthesizeRequest{Request: &triviumv1.StreamSynthesizeRequest_Setup{Setup: setup}}) {
				return
			}
			for fragment, err := range text {
				if err != nil {
					cancel(err)
					return
				}
				request := &triviumv1.StreamSynthesizeRequest_TextFragment{TextFragment: fragment}
				if !yield(&triviumv1.StreamSynthesizeRequest{Request: request}) {
					return
				}
			}
		}
		for event, err := range Converse(ctx, c.StreamSynthesize, requests, options...) {
			if err != nil {
				yield(nil, err)
				return
			}
			if chunk := event.GetAudio(); chunk != nil && !yield(chunk, nil) {
				return
			}
		}
	}
}
