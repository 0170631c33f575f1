package trivium

import (
	"context"
	"iter"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	triviumv1 "trivium.internal/go/trivium/v1"
)

// TextClient generates text. Safe for concurrent use.
type TextClient struct {
	triviumv1.TextGenerationServiceClient
	conn   *conn
	choice *modelChoice
}

// Chat returns a conversation to answer, oldest message first: [System], [User], [Assistant], and so on. Sampling and
// output of the result may be set before it is used.
func Chat(messages ...*triviumv1.ChatMessage) *triviumv1.GenerationInput {
	return &triviumv1.GenerationInput{
		Prompt: &triviumv1.GenerationInput_Conversation{Conversation: &triviumv1.Conversation{Messages: messages}},
	}
}

// System returns instructions to the model; the first message of a conversation, if any.
func System(text string) *triviumv1.ChatMessage {
	return &triviumv1.ChatMessage{Role: triviumv1.ChatRole_CHAT_ROLE_SYSTEM, Parts: textParts(text)}
}

// User returns a message of the person or program that asks.
func User(text string) *triviumv1.ChatMessage {
	return &triviumv1.ChatMessage{Role: triviumv1.ChatRole_CHAT_ROLE_USER, Parts: textParts(text)}
}

// Assistant returns a message of the model.
func Assistant(text string) *triviumv1.ChatMessage {
	return &triviumv1.ChatMessage{Role: triviumv1.ChatRole_CHAT_ROLE_ASSISTANT, Parts: textParts(text)}
}

func textParts(text string) []*triviumv1.ContentPart {
	return []*triviumv1.ContentPart{{Part: &triviumv1.ContentPart_Text{Text: text}}}
}

// Ask returns the whole answer to one message of the user.
func (c *TextClient) Ask(ctx context.Context, prompt string, options ...grpc.CallOption) (string, error) {
	ctx, cancel := c.conn.limit(ctx)
	defer cancel()
	input, err := c.withModel(ctx, Chat(User(prompt)), options)
	if err != nil {
		return "", err
	}
	response, err := c.Generate(ctx, &triviumv1.GenerateRequest{Input: input}, options...)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for _, candidate := range response.GetCandidates() {
		for _, part := range candidate.GetMessage().GetParts() {
			text.WriteString(part.GetText()) // one message of the user has one candidate
		}
	}
	return text.String(), nil
}

// Stream iterates the answer to one message of the user while it is made, piece by piece; see StreamInput.
func (c *TextClient) Stream(ctx context.Context, prompt string, options ...grpc.CallOption) iter.Seq2[string, error] {
	return c.StreamInput(ctx, Chat(User(prompt)), options...)
}

// StreamInput iterates the text of the first candidate while it is made, piece by piece. An error is the last that
// comes. Leaving the loop ends the call, and the server stops within one decoding step. Each iteration is a call of its
// own. A model that the input names wins over [Model]. For usage, timing and all candidates, see [Events] and [Answer].
func (c *TextClient) StreamInput(
	ctx context.Context, input *triviumv1.GenerationInput, options ...grpc.CallOption,
) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		input, err := c.withModel(ctx, input, options)
		if err != nil {
			yield("", err)
			return
		}
		request := &triviumv1.StreamGenerateRequest{Input: input}
		for event, err := range Events(c.StreamGenerate(ctx, request, options...)) {
			if err != nil {
				yield("", err)
				return
			}
			delta := event.GetDelta()
			if delta.GetCandidateIndex() == 0 && delta.GetText() != "" && !yield(delta.GetText(), nil) {
				return
			}
		}
	}
}

// withModel returns the input with its model filled in.
func (c *TextClient) withModel(
	ctx context.Context, input *triviumv1.GenerationInput, options []grpc.CallOption,
) (*triviumv1.GenerationInput, error) {
	if input.GetModel() != "" {
		return input, nil
	}
	name, err := c.choice.name(ctx, triviumv1.Capability_CAPABILITY_GENERATE_TEXT, options)
	if err != nil {
		return nil, err
	}
	input = proto.CloneOf(input)
	input.Model = name
	return input, nil
}
