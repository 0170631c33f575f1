package trivium_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	trivium "trivium.internal/go"
	adminv1 "trivium.internal/go/trivium/admin/v1"
	triviumv1 "trivium.internal/go/trivium/v1"
)

func TestStreamIsWholeOrFails(t *testing.T) {
	cases := map[string]struct {
		do   func(attempt) error
		kind trivium.Kind
		came []string
	}{
		"whole": {func(a attempt) error {
			return errors.Join(a.text(0, "a"), a.text(1, "b"), a.completed(2))
		}, "", []string{"a", "b"}},
		"no last event": {func(a attempt) error {
			return a.text(0, "a")
		}, trivium.ErrTruncatedStream, []string{"a"}},
		"nothing at all": {func(attempt) error {
			return nil
		}, trivium.ErrTruncatedStream, nil},
		"a gap": {func(a attempt) error {
			return errors.Join(a.text(0, "a"), a.text(2, "c"), a.completed(3))
		}, trivium.ErrTruncatedStream, []string{"a"}},
		"an event of a later version": {func(a attempt) error {
			return errors.Join(a.SendMsg(&triviumv1.StreamGenerateResponse{}), a.text(1, "b"), a.completed(2))
		}, "", []string{"b"}},
		"a status after the last event": {func(a attempt) error {
			return errors.Join(a.text(0, "a"), a.completed(1), status.Error(codes.Unavailable, "gone"))
		}, "", []string{"a"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			came, err := texts(t.Context(), connect(t, script(t, c.do).target))
			if c.kind == "" && err != nil || c.kind != "" && !errors.Is(err, c.kind) {
				t.Error(err)
			}
			if c.kind != "" && (status.Code(err) != codes.DataLoss || err.(*trivium.Error).RequestID == "") {
				t.Error(err)
			}
			if !slices.Equal(came, c.came) {
				t.Error(came)
			}
		})
	}
}

func TestLoadEndsWhenTheModelIsReady(t *testing.T) {
	progress := func(state triviumv1.ModelState) *adminv1.LoadModelResponse {
		return &adminv1.LoadModelResponse{Model: &triviumv1.Model{State: state}}
	}
	for last, kind := range map[triviumv1.ModelState]error{
		triviumv1.ModelState_MODEL_STATE_READY:   io.EOF,
		triviumv1.ModelState_MODEL_STATE_WARMING: trivium.ErrTruncatedStream,
	} {
		server := script(t, func(a attempt) error {
			return errors.Join(a.SendMsg(progress(triviumv1.ModelState_MODEL_STATE_LOADING)), a.SendMsg(progress(last)))
		})
		stream, err := connect(t, server.target).Admin.LoadModel(t.Context(), &adminv1.LoadModelRequest{})
		for range 2 {
			if err == nil {
				_, err = stream.Recv()
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); !errors.Is(err, kind) {
			t.Error(last, err)
		}
	}
}

func TestOnlyTheCallerEndsAWatch(t *testing.T) {
	server := script(t, func(attempt) error { return nil })
	client := connect(t, server.target)
	stream, err := client.Models.WatchModels(t.Context(), &triviumv1.WatchModelsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, trivium.ErrTruncatedStream) {
		t.Error(err)
	}
	health, err := client.Health.Watch(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := health.Recv(); err != io.EOF { // it is not of the contract
		t.Error(err)
	}
}

func TestIdleStreamFails(t *testing.T) {
	ended := make(chan error, 1)
	server := script(t, func(a attempt) error {
		if err := a.text(0, "a"); err != nil {
			return err
		}
		<-a.Context().Done()
		ended <- a.Context().Err()
		return nil
	})
	came, err := texts(t.Context(), connect(t, server.target), trivium.IdleTimeout(200*time.Millisecond))
	if !errors.Is(err, trivium.ErrStreamIdle) || !errors.Is(err, context.DeadlineExceeded) || len(came) != 1 {
		t.Error(came, err)
	}
	if err := <-ended; err != context.Canceled {
		t.Error(err)
	}
}

func TestSlowReaderIsNotIdle(t *testing.T) {
	server := script(t, func(a attempt) error {
		return errors.Join(a.text(0, "a"), a.text(1, "b"), a.completed(2))
	})
	client := connect(t, server.target, trivium.WithIdleTimeout(200*time.Millisecond))
	stream, err := client.Text.StreamGenerate(t.Context(), &triviumv1.StreamGenerateRequest{})
	for range 3 {
		time.Sleep(300 * time.Millisecond)
		if err == nil {
			_, err = stream.Recv()
		}
	}
	if err != nil {
		t.Error(err)
	}
}

// endless streams until it is cancelled, and says then how.
func endless(ended chan<- error) func(attempt) error {
	return func(a attempt) error {
		for sequence := int64(0); a.text(sequence, "more ") == nil; sequence++ {
			time.Sleep(time.Millisecond)
		}
		ended <- a.Context().Err()
		return nil
	}
}

func TestLeavingTheLoopEndsTheCall(t *testing.T) {
	ended := make(chan error, 1)
	client := connect(t, script(t, endless(ended)).target)
	for text, err := range client.Text.Stream(t.Context(), "Hello?", trivium.Model("m")) {
		if err != nil {
			t.Fatal(err)
		}
		if text != "" {
			break
		}
	}
	if err := <-ended; err != context.Canceled {
		t.Error(err)
	}
}

func TestCancellingEndsTheCall(t *testing.T) {
	ended := make(chan error, 1)
	client := connect(t, script(t, endless(ended)).target)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	bored := errors.New("bored")
	events := 0
	var err error
	for _, err = range trivium.Events(client.Text.StreamGenerate(ctx, &triviumv1.StreamGenerateRequest{})) {
		if events++; events == 3 {
			cancel(bored)
		}
	}
	if !errors.Is(err, trivium.ErrCancelled) || !errors.Is(err, context.Canceled) || !errors.Is(err, bored) {
		t.Error(err)
	}
	if events != 4 { // three messages and the error
		t.Error(events)
	}
	if err := <-ended; err != context.Canceled {
		t.Error(err)
	}
}

func TestCancelledBeforeTheCall(t *testing.T) {
	server := script(t, endless(make(chan error, 1)))
	client := connect(t, server.target)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := count(ctx, client); !errors.Is(err, trivium.ErrCancelled) {
		t.Error(err)
	}
	if _, err := texts(ctx, client); !errors.Is(err, trivium.ErrCancelled) {
		t.Error(err)
	}
	if made := len(server.attempts()); made != 0 {
		t.Errorf("%d attempts", made)
	}
}

func TestClosingTheClientEndsItsCalls(t *testing.T) {
	ended := make(chan error, 1)
	client := connect(t, script(t, endless(ended)).target)
	var err error
	events := 0
	for _, err = range trivium.Events(client.Text.StreamGenerate(t.Context(), &triviumv1.StreamGenerateRequest{})) {
		if events++; events == 3 {
			client.Close()
		}
	}
	if !errors.Is(err, trivium.ErrCancelled) {
		t.Error(err)
	}
	<-ended
	if _, err := count(t.Context(), client); !errors.Is(err, trivium.ErrCancelled) {
		t.Error(err)
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
}

func TestDeadlineOfAStream(t *testing.T) {
	ended := make(chan error, 1)
	client := connect(t, script(t, endless(ended)).target)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	came, err := texts(ctx, client)
	if !errors.Is(err, context.DeadlineExceeded) || len(came) == 0 {
		t.Error(len(came), err)
	}
	if failed := err.(*trivium.Error); failed.Kind != "" || failed.Reason != "" {
		t.Errorf("%+v", failed)
	}
	<-ended
}

func TestConverseSendsWhileItReads(t *testing.T) {
	server := script(t, func(a attempt) error {
		sequence := int64(0)
		for ; ; sequence++ {
			request := &triviumv1.StreamSynthesizeRequest{}
			if err := a.RecvMsg(request); err == io.EOF {
				break
			} else if err != nil {
				return err
			}
			if err := a.SendMsg(&triviumv1.StreamSynthesizeResponse{Sequence: sequence}); err != nil {
				return err
			}
		}
		return a.SendMsg(&triviumv1.StreamSynthesizeResponse{
			Sequence: sequence,
			Event:    &triviumv1.StreamSynthesizeResponse_Completed{Completed: &triviumv1.SynthesisCompleted{}},
		})
	})
	client := connect(t, server.target, trivium.WithMaxMessageBytes(1000))
	heard := make(chan struct{})
	requests := func(yield func(*triviumv1.StreamSynthesizeRequest) bool) {
		if yield(&triviumv1.StreamSynthesizeRequest{}) {
			<-heard
			yield(&triviumv1.StreamSynthesizeRequest{})
		}
	}
	events := 0
	for _, err := range trivium.Converse(t.Context(), client.Speech.StreamSynthesize, requests) {
		if err != nil {
			t.Fatal(err)
		}
		if events++; events == 1 {
			close(heard)
		}
	}
	if events != 3 {
		t.Error(events)
	}
	fragment := &triviumv1.StreamSynthesizeRequest_TextFragment{TextFragment: string(make([]byte, 2000))}
	large := slices.Values([]*triviumv1.StreamSynthesizeRequest{{Request: fragment}})
	for _, err := range trivium.Converse(t.Context(), client.Speech.StreamSynthesize, large) {
		if !errors.Is(err, trivium.ErrInvalidCall) {
			t.Error(err)
		}
	}
}

func TestErrorOfTheTextEndsTheSpeech(t *testing.T) {
	ended := make(chan error, 1)
	server := script(t, func(a attempt) error {
		chunk := &triviumv1.StreamSynthesizeResponse_Audio{Audio: &triviumv1.AudioChunk{Audio: []byte("hm")}}
		if err := a.SendMsg(&triviumv1.StreamSynthesizeResponse{Event: chunk}); err != nil {
			return err
		}
		<-a.Context().Done()
		ended <- a.Context().Err()
		return nil
	})
	client := connect(t, server.target)
	heard := make(chan struct{})
	lost := errors.New("lost for words")
	text := func(yield func(string, error) bool) {
		if yield("Well, ", nil) {
			<-heard
			yield("", lost)
		}
	}
	var sound []byte
	var err error
	for chunk, failed := range client.Speech.SpeakStream(t.Context(), text, trivium.Model("m")) {
		if err = failed; err == nil {
			sound = append(sound, chunk.GetAudio()...)
			close(heard)
		}
	}
	if string(sound) != "hm" || !errors.Is(err, lost) || !errors.Is(err, trivium.ErrCancelled) {
		t.Error(string(sound), err)
	}
	if err := <-ended; err != context.Canceled {
		t.Error(err)
	}
}

func TestManyStreamsLeaveNothingBehind(t *testing.T) {
	server := script(t, func(a attempt) error {
		for sequence := range int64(20) {
			if err := a.text(sequence, "x"); err != nil {
				return err
			}
		}
		switch a.number % 3 {
		case 0:
			return a.completed(20)
		case 1:
			return status.Error(codes.Internal, "oh")
		default:
			<-a.Context().Done() // the caller leaves
			return nil
		}
	})
	client := connect(t, server.target)
	if _, err := texts(t.Context(), client); err == nil {
		t.Fatal("the first call has number 1, which fails")
	}
	before := runtime.NumGoroutine()
	var readers sync.WaitGroup
	for range 64 {
		readers.Go(func() {
			read := 0
			for _, err := range trivium.Events(client.Text.StreamGenerate(t.Context(), &triviumv1.StreamGenerateRequest{})) {
				if read++; read == 20 || err != nil {
					break
				}
			}
			if read != 20 {
				t.Errorf("%d messages", read)
			}
		})
	}
	readers.Wait()
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}
