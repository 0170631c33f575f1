package main

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	trivium "trivium.internal/go"
	triviumv1 "trivium.internal/go/trivium/v1"
)

// run makes the call of a case. Its own error says that the runner cannot do it.
func (c testCase) run() (result, error) {
	method, err := findMethod(c.Call.Method)
	if err != nil {
		return result{}, err
	}
	requests, err := parseRequests(method, c.Call.Requests)
	if err != nil {
		return result{}, err
	}
	options, err := c.Client.options()
	if err != nil {
		return refused(err), nil
	}
	client, err := trivium.NewClient(c.Client.Target, options...)
	if err != nil {
		return refused(err), nil
	}
	defer client.Close()
	ctx, cancel, err := c.context()
	if err != nil {
		return result{}, err
	}
	defer cancel()
	call := &call{testCase: c, requests: requests, cancel: cancel, came: result{Responses: [][]byte{}}}
	if method.FullName() == "trivium.v1.TextGenerationService.StreamGenerate" {
		call.answer = &trivium.Answer{}
	}
	started := time.Now()
	err = call.make(ctx, client, method)
	call.came.Elapsed = time.Since(started).Seconds()
	call.came.OK, call.came.Error = err == nil, describe(err)
	if call.answer != nil {
		call.came.Text = new(call.answer.Text(0))
	}
	return call.came, nil
}

// refused is what comes of a case whose client cannot be made.
func refused(err error) result {
	return result{Responses: [][]byte{}, Error: describe(err)}
}

func findMethod(name string) (protoreflect.MethodDescriptor, error) {
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(strings.ReplaceAll(name, "/", ".")))
	if err != nil {
		return nil, fmt.Errorf("method %s: %w", name, err)
	}
	method, ok := found.(protoreflect.MethodDescriptor)
	if !ok {
		return nil, fmt.Errorf("%s is no method", name)
	}
	return method, nil
}

func parseRequests(method protoreflect.MethodDescriptor, packed [][]byte) ([]proto.Message, error) {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(method.Input().FullName())
	if err != nil {
		return nil, err
	}
	var requests []proto.Message
	for _, content := range packed {
		request := kind.New().Interface()
		if err := proto.Unmarshal(content, request); err != nil {
			return nil, err
		}
		requests = append(requests, request)
	}
	if !method.IsStreamingClient() && len(requests) != 1 {
		return nil, fmt.Errorf("%s takes one request, not %d", method.FullName(), len(requests))
	}
	return requests, nil
}

// context returns the context that the call is made with, and what cancels it.
func (c testCase) context() (context.Context, context.CancelFunc, error) {
	md, err := pairs(c.Call.Metadata)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(context.Background(), md))
	if c.Act.CancelBefore {
		cancel()
	}
	if c.Call.Timeout == nil {
		return ctx, cancel, nil
	}
	limited, end := context.WithTimeout(ctx, c.Call.Timeout.duration())
	return limited, func() { cancel(); end() }, nil
}

// services returns the clients of all services by name; their methods are those of the contract.
func services(client *trivium.Client) map[protoreflect.FullName]any {
	return map[protoreflect.FullName]any{
		"trivium.v1.TextGenerationService":    client.Text,
		"trivium.v1.EmbeddingService":         client.Embeddings,
		"trivium.v1.TextAnalysisService":      client.Analysis,
		"trivium.v1.VisionService":            client.Vision,
		"trivium.v1.SpeechRecognitionService": client.Speech,
		"trivium.v1.SpeechSynthesisService":   client.Speech,
		"trivium.v1.ModelService":             client.Models,
		"trivium.admin.v1.AdminService":       client.Admin,
		"grpc.health.v1.Health":               client.Health,
	}
}

// call is the call of a case, and what came of it.
type call struct {
	testCase
	requests []proto.Message
	cancel   context.CancelFunc
	answer   *trivium.Answer
	came     result
}

// make calls the method on its client, as a caller of the SDK does, and returns the call's error.
func (c *call) make(ctx context.Context, client *trivium.Client, method protoreflect.MethodDescriptor) error {
	if c.Act.CancelAfter != nil {
		defer time.AfterFunc(c.Act.CancelAfter.duration(), c.cancel).Stop()
	}
	arguments := []reflect.Value{reflect.ValueOf(ctx)}
	if !method.IsStreamingClient() {
		arguments = append(arguments, reflect.ValueOf(c.requests[0]))
	}
	for _, option := range c.options() {
		arguments = append(arguments, reflect.ValueOf(option))
	}
	service := reflect.ValueOf(services(client)[method.Parent().FullName()])
	returned := service.MethodByName(string(method.Name())).Call(arguments)
	err, _ := returned[1].Interface().(error)
	if err != nil {
		return err
	}
	if !method.IsStreamingServer() {
		return c.take(returned[0].Interface().(proto.Message))
	}
	opened := responses{returned[0].Interface().(grpc.ClientStream), returned[0], c.Act.ReadPause.duration()}
	if method.IsStreamingClient() {
		go c.send(opened)
	}
	return c.read(opened)
}

func (c *call) options() []grpc.CallOption {
	options := []grpc.CallOption{trivium.SentRequestID(&c.came.RequestID)}
	if c.Call.RequestID != nil {
		options = append(options, trivium.RequestID(*c.Call.RequestID))
	}
	if c.Call.IdleTimeout != nil {
		options = append(options, trivium.IdleTimeout(c.Call.IdleTimeout.duration()))
	}
	return options
}

// responses makes a stream of any method one that trivium.Events iterates.
type responses struct {
	grpc.ClientStream
	typed reflect.Value
	pause time.Duration // before each read
}

type response struct{ proto.Message }

func (r responses) Recv() (*response, error) {
	time.Sleep(r.pause)
	returned := r.typed.MethodByName("Recv").Call(nil)
	if err, _ := returned[1].Interface().(error); err != nil {
		return nil, err
	}
	return &response{returned[0].Interface().(proto.Message)}, nil
}

// send sends the requests, and half-closes unless that waits for a GoAway.
func (c *call) send(stream grpc.ClientStream) {
	for _, request := range c.requests {
		if stream.SendMsg(request) != nil {
			return // the reader hears why
		}
	}
	if c.Act.HalfClose == "" {
		_ = stream.CloseSend() // the reader hears of a failure
	}
}

func (c *call) read(stream responses) error {
	for event, err := range trivium.Events(stream, nil) {
		if err != nil {
			return err
		}
		if err := c.take(event.Message); err != nil {
			return err
		}
		if isGoAway(event.Message) && c.Act.HalfClose == "on_go_away" {
			if err := stream.CloseSend(); err != nil {
				return err
			}
		}
		if reached(c.Act.StopAfterMessages, len(c.came.Responses)) {
			return nil
		}
		if reached(c.Act.CancelAfterMessages, len(c.came.Responses)) {
			c.cancel()
		}
	}
	return nil
}

func reached(limit *int, count int) bool {
	return limit != nil && count >= *limit
}

func (c *call) take(message proto.Message) error {
	packed, err := proto.Marshal(message)
	if err != nil {
		return err
	}
	c.came.Responses = append(c.came.Responses, append([]byte{}, packed...))
	if event, ok := message.(*triviumv1.StreamGenerateResponse); ok {
		c.answer.Add(event)
	}
	return nil
}

func isGoAway(message proto.Message) bool {
	field := message.ProtoReflect().Descriptor().Fields().ByName("go_away")
	return field != nil && message.ProtoReflect().Has(field)
}
