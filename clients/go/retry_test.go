package trivium_test

import (
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	trivium "trivium.internal/go"
	triviumv1 "trivium.internal/go/trivium/v1"
)

func TestUnaryCallIsSentAgainWithItsRequestID(t *testing.T) {
	server := script(t, func(a attempt) error {
		if a.number < 3 {
			return fails(codes.Unavailable, trivium.ErrServerDraining, retryAfter(0))
		}
		return a.SendMsg(&triviumv1.CountTokensResponse{TokenCount: 7})
	})
	response, err := count(t.Context(), connect(t, server.target), trivium.RequestID("mine"))
	if err != nil || response.GetTokenCount() != 7 {
		t.Fatal(response, err)
	}
	for _, a := range server.attempts() {
		if id := a.metadata.Get("x-request-id"); !slices.Equal(id, []string{"mine"}) {
			t.Errorf("attempt %d has request id %v", a.number, id)
		}
	}
	if made := len(server.attempts()); made != 3 {
		t.Errorf("%d attempts", made)
	}
}

func TestWhatIsRetried(t *testing.T) {
	pushback := func(value string, err error) func(attempt) error {
		return func(a attempt) error {
			a.SetTrailer(metadata.Pairs("grpc-retry-pushback-ms", value))
			return err
		}
	}
	always := func(err error) func(attempt) error { return func(attempt) error { return err } }
	unavailable := status.Error(codes.Unavailable, "gone")
	cases := map[string]struct {
		do   func(attempt) error
		made int
	}{
		"unavailable":                   {always(unavailable), 2},
		"model not ready":               {always(fails(codes.Unavailable, trivium.ErrModelNotReady)), 2},
		"queue full with RetryInfo":     {always(fails(codes.ResourceExhausted, trivium.ErrQueueFull, retryAfter(0))), 2},
		"queue full without":            {always(fails(codes.ResourceExhausted, trivium.ErrQueueFull)), 1},
		"longer than is waited":         {always(fails(codes.Unavailable, trivium.ErrModelNotReady, retryAfter(31*time.Second))), 1},
		"internal":                      {always(fails(codes.Internal, trivium.ErrInternal)), 1},
		"internal, not of Trivium":      {always(status.Error(codes.Internal, "oh")), 1},
		"reset, as gRPC of C words it":  {always(status.Error(codes.Internal, "Stream removed (RST_STREAM)")), 2},
		"aborted":                       {always(fails(codes.Aborted, trivium.ErrCallAborted, retryAfter(0))), 1},
		"deadline of the server":        {always(fails(codes.DeadlineExceeded, trivium.ErrDeadlineExceeded)), 1},
		"pushback":                      {pushback("1", unavailable), 2},
		"pushback forbids":              {pushback("-1", unavailable), 1},
		"pushback cannot be read":       {pushback("soon", unavailable), 1},
		"pushback is too long":          {pushback("99999999999", unavailable), 1},
		"pushback allows nothing by it": {pushback("1", fails(codes.Internal, trivium.ErrInternal)), 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := script(t, c.do)
			client := connect(t, server.target, trivium.WithMaxAttempts(2))
			if _, err := count(t.Context(), client); err == nil {
				t.Error("the call did not fail")
			}
			if made := len(server.attempts()); made != c.made {
				t.Errorf("a call with one response: %d attempts, not %d", made, c.made)
			}
			if _, err := texts(t.Context(), client); err == nil {
				t.Error("the stream did not fail")
			}
			if made := len(server.attempts()); made != 2*c.made {
				t.Errorf("a stream: %d attempts, not %d", made-c.made, c.made)
			}
		})
	}
}

func TestStreamIsNotSentAgainAfterItsFirstEvent(t *testing.T) {
	server := script(t, func(a attempt) error {
		if err := a.text(0, "half"); err != nil {
			return err
		}
		return status.Error(codes.Unavailable, "gone")
	})
	came, err := texts(t.Context(), connect(t, server.target))
	if !errors.Is(err, trivium.ErrConnectionLost) || !slices.Equal(came, []string{"half"}) {
		t.Error(came, err)
	}
	if made := len(server.attempts()); made != 1 {
		t.Errorf("%d attempts", made)
	}
}

func TestStreamOfRequestsIsNotSentAgain(t *testing.T) {
	server := script(t, func(attempt) error { return status.Error(codes.Unavailable, "gone") })
	stream, err := connect(t, server.target).Embeddings.StreamEmbed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, trivium.ErrServerUnavailable) {
		t.Error(err)
	}
	if made := len(server.attempts()); made != 1 {
		t.Errorf("%d attempts", made)
	}
}

func TestRetryWaitsAsLongAsTheServerSays(t *testing.T) {
	server := script(t, func(a attempt) error {
		if a.number == 1 {
			return fails(codes.ResourceExhausted, trivium.ErrQueueFull, retryAfter(400*time.Millisecond))
		}
		return a.SendMsg(&triviumv1.CountTokensResponse{})
	})
	started := time.Now()
	if _, err := count(t.Context(), connect(t, server.target)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(started); took < 400*time.Millisecond {
		t.Errorf("waited %v", took)
	}
}

func TestWaitPastTheDeadlineIsNotMade(t *testing.T) {
	server := script(t, func(attempt) error {
		return fails(codes.ResourceExhausted, trivium.ErrQueueFull, retryAfter(10*time.Second))
	})
	client := connect(t, server.target, trivium.WithTimeout(5*time.Second))
	started := time.Now()
	_, err := count(t.Context(), client)
	if !errors.Is(err, trivium.ErrQueueFull) || time.Since(started) > 3*time.Second {
		t.Error(err, time.Since(started))
	}
}

func TestServerThatStartsLateIsReached(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := listener.Addr().String()
	listener.Close()
	client := connect(t, target)
	answered := make(chan error)
	go func() {
		_, err := count(t.Context(), client)
		answered <- err
	}()
	time.Sleep(50 * time.Millisecond) // the first attempt fails meanwhile
	if listener, err = net.Listen("tcp", target); err != nil {
		t.Skip("another process took the port meanwhile:", err)
	}
	scriptOn(t, listener, func(a attempt) error { return a.SendMsg(&triviumv1.CountTokensResponse{}) })
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

func TestNobodyListens(t *testing.T) {
	client := connect(t, "127.0.0.1:1")
	_, err := count(t.Context(), client)
	if !errors.Is(err, trivium.ErrServerUnavailable) || status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
	_, err = texts(t.Context(), client)
	if !errors.Is(err, trivium.ErrServerUnavailable) {
		t.Error(err)
	}
	_, err = client.Embeddings.StreamEmbed(t.Context())
	if !errors.Is(err, trivium.ErrServerUnavailable) {
		t.Error(err)
	}
}
