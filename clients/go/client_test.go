package trivium_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"

	trivium "trivium.internal/go"
	triviumv1 "trivium.internal/go/trivium/v1"
)

// answers is a server that answers every call with one response.
func answers(t *testing.T, options ...grpc.ServerOption) *scripted {
	t.Helper()
	return script(t, func(a attempt) error { return a.SendMsg(&triviumv1.CountTokensResponse{}) }, options...)
}

func TestMetadataOfACall(t *testing.T) {
	server := answers(t)
	client := connect(t, server.target,
		trivium.WithToken("s3cret"),
		trivium.WithMetadata(metadata.Pairs("Team", "a", "kept", "k", "trace-bin", "\x00\xff")),
	)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "team", "b")
	var sent string
	if _, err := count(ctx, client, trivium.SentRequestID(&sent)); err != nil {
		t.Fatal(err)
	}
	got := server.attempts()[0].metadata
	for key, value := range map[string]string{
		"authorization": "Bearer s3cret", "team": "b", "kept": "k", "trace-bin": "\x00\xff", "x-request-id": sent,
	} {
		if values := got.Get(key); len(values) != 1 || values[0] != value {
			t.Errorf("%s: %q", key, values)
		}
	}
	for key, form := range map[string]string{
		"x-request-id":   `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`,
		"trivium-client": `^trivium-go/0\.1\.0 go/[0-9a-z.]+$`,
		"user-agent":     `^trivium-go/0\.1\.0 grpc-go/`,
	} {
		if value := strings.Join(got.Get(key), " "); !regexp.MustCompile(form).MatchString(value) {
			t.Errorf("%s: %q", key, value)
		}
	}
}

func TestDeadlineIsThatOfTheContextElseTheDefault(t *testing.T) {
	server := answers(t)
	limited, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	cases := []struct {
		ctx     context.Context
		options []trivium.Option
		want    time.Duration
	}{
		{t.Context(), nil, 60 * time.Second},
		{t.Context(), []trivium.Option{trivium.WithTimeout(20 * time.Second)}, 20 * time.Second},
		{limited, nil, 5 * time.Second},
		{t.Context(), []trivium.Option{trivium.WithTimeout(0)}, 0},
	}
	for i, c := range cases {
		if _, err := count(c.ctx, connect(t, server.target, c.options...)); err != nil {
			t.Fatal(err)
		}
		left, has := server.attempts()[i].deadline()
		if has != (c.want > 0) || has && (left > c.want || left < c.want-4*time.Second) {
			t.Errorf("%d: %v, %v", i, left, has)
		}
	}
}

func TestStreamsHaveNoDeadline(t *testing.T) {
	server := script(t, func(a attempt) error { return a.completed(0) })
	if _, err := texts(t.Context(), connect(t, server.target)); err != nil {
		t.Fatal(err)
	}
	if _, has := server.attempts()[0].deadline(); has {
		t.Error("it has one")
	}
}

func TestDeadlineOfACall(t *testing.T) {
	server := script(t, func(a attempt) error {
		<-a.Context().Done()
		return status.FromContextError(a.Context().Err()).Err()
	})
	client := connect(t, server.target, trivium.WithTimeout(100*time.Millisecond))
	_, err := count(t.Context(), client)
	failed, _ := errors.AsType[*trivium.Error](err)
	if !errors.Is(err, context.DeadlineExceeded) || failed.Kind != "" || failed.Reason != "" {
		t.Error(err)
	}
}

func TestRefusedArguments(t *testing.T) {
	server := answers(t)
	makers := map[string]func() error{
		"no port":               func() error { return newClient("localhost") },
		"port 0":                func() error { return newClient("localhost:0") },
		"port too large":        func() error { return newClient("localhost:65536") },
		"path":                  func() error { return newClient("http://localhost:1/v1") },
		"user":                  func() error { return newClient("http://me@localhost:1") },
		"nonsense":              func() error { return newClient("no such place") },
		"bare IPv6 address":     func() error { return newClient("::1") },
		"http URL with TLS":     func() error { return newClient("http://localhost:1", trivium.WithTLS(nil)) },
		"https URL without":     func() error { return newClient("https://localhost", trivium.WithPlaintext()) },
		"token with line break": func() error { return newClient("", trivium.WithToken("s3cret\n")) },
		"empty token":           func() error { return newClient("", trivium.WithToken("")) },
		"no attempts":           func() error { return newClient("", trivium.WithMaxAttempts(0)) },
		"negative timeout":      func() error { return newClient("", trivium.WithTimeout(-1)) },
		"metadata of gRPC":      func() error { return newClient("", trivium.WithMetadata(metadata.Pairs("grpc-x", "1"))) },
		"metadata of ours":      func() error { return newClient("", trivium.WithMetadata(metadata.Pairs("Authorization", "x"))) },
		"metadata not ASCII":    func() error { return newClient("", trivium.WithMetadata(metadata.Pairs("a", "ü"))) },
		"roots that are none":   func() error { _, err := trivium.PEM{Roots: []byte("x")}.Config(); return err },
		"certificate alone":     func() error { _, err := trivium.PEM{Certificate: []byte("x")}.Config(); return err },
	}
	client := connect(t, server.target, trivium.WithMaxMessageBytes(1000))
	calls := map[string]func() error{
		"request id": func() error { _, err := count(t.Context(), client, trivium.RequestID("a b")); return err },
		"call's metadata": func() error {
			_, err := count(metadata.AppendToOutgoingContext(t.Context(), "te", "x"), client)
			return err
		},
		"idle timeout": func() error { _, err := texts(t.Context(), client, trivium.IdleTimeout(-1)); return err },
		"size": func() error {
			_, err := client.Compare(t.Context(), strings.Repeat("a", 1001), nil, trivium.Model("m"))
			return err
		},
		"size in a stream": func() error {
			for _, err := range client.Text.Stream(t.Context(), strings.Repeat("a", 1001), trivium.Model("m")) {
				return err
			}
			return nil
		},
	}
	maps.Copy(makers, calls)
	for name, make := range makers {
		if err := make(); !errors.Is(err, trivium.ErrInvalidCall) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if made := len(server.attempts()); made != 0 {
		t.Errorf("%d calls were sent", made)
	}
}

func newClient(target string, options ...trivium.Option) error {
	client, err := trivium.NewClient(target, options...)
	if err == nil {
		client.Close()
	}
	return err
}

func TestTargets(t *testing.T) {
	port := regexp.MustCompile(`\d+$`).FindString(answers(t).target)
	for _, target := range []string{
		"127.0.0.1:" + port, "localhost:" + port, "http://127.0.0.1:" + port + "/", "dns:///127.0.0.1:" + port,
		"passthrough:///127.0.0.1:" + port,
	} {
		if _, err := count(t.Context(), connect(t, target, trivium.WithPlaintext())); err != nil {
			t.Errorf("%s: %v", target, err)
		}
	}
	t.Setenv(trivium.TargetVariable, "127.0.0.1:"+port)
	if _, err := count(t.Context(), connect(t, "")); err != nil {
		t.Error(err)
	}
}

func TestNobodySeesTheToken(t *testing.T) {
	client := connect(t, "127.0.0.1:1", trivium.WithToken("s3cret"), trivium.WithMaxAttempts(1))
	_, err := count(t.Context(), client)
	for _, shown := range []string{
		fmt.Sprintf("%v %+v %#v", client, client, client), fmt.Sprintf("%+v %#v", *client, *client),
		fmt.Sprintf("%v %+v %#v", err, err, err),
	} {
		if strings.Contains(shown, "s3cret") {
			t.Error(shown)
		}
	}
}

func TestLargeMessages(t *testing.T) {
	server := answers(t, grpc.MaxRecvMsgSize(1<<24))
	client := connect(t, server.target)
	if _, err := client.Compare(t.Context(), strings.Repeat("a", 5<<20), nil, trivium.Model("m")); err != nil {
		t.Error(err)
	}
}

func TestErrorSaysWhatTheServerSaid(t *testing.T) {
	server := script(t, func(a attempt) error {
		a.SetTrailer(metadata.Pairs("trivium-usage-bin", "\x20\x07"))
		return fails(codes.NotFound, trivium.ErrModelNotFound)
	})
	_, err := count(t.Context(), connect(t, server.target), trivium.RequestID("mine"))
	failed, ok := errors.AsType[*trivium.Error](err)
	if !ok || !errors.Is(err, trivium.ErrModelNotFound) || errors.Is(err, trivium.ErrModelFailed) {
		t.Fatal(err)
	}
	if failed.Code != codes.NotFound || failed.Kind != "" || failed.Metadata["model"] != "m" || failed.RetryAfter != nil {
		t.Errorf("%+v", failed)
	}
	if failed.Usage.GetInputCharacters() != 7 {
		t.Error(failed.Usage)
	}
	if text := err.Error(); text != "it failed (MODEL_NOT_FOUND, request mine)" {
		t.Error(text)
	}
	if details := failed.GRPCStatus().Details(); len(details) != 1 {
		t.Error(details)
	}
}

func TestModelIsTheOnlyOne(t *testing.T) {
	var models []*triviumv1.Model
	server := script(t, func(a attempt) error {
		if method, _ := grpc.MethodFromServerStream(a); method == triviumv1.ModelService_ListModels_FullMethodName {
			return a.SendMsg(&triviumv1.ListModelsResponse{Models: models})
		}
		request := &triviumv1.StreamGenerateRequest{}
		if err := a.RecvMsg(request); err != nil {
			return err
		}
		return errors.Join(a.text(0, request.GetInput().GetModel()), a.completed(1))
	})
	ready, idle := triviumv1.ModelState_MODEL_STATE_READY, triviumv1.ModelState_MODEL_STATE_AVAILABLE
	ask := func() (string, error) {
		for text, err := range connect(t, server.target).Text.Stream(t.Context(), "Hello?") {
			return text, err
		}
		return "", errors.New("nothing came")
	}
	if _, err := ask(); !errors.Is(err, trivium.ErrInvalidCall) {
		t.Error(err)
	}
	models = []*triviumv1.Model{{Name: "a", State: idle}, {Name: "b", State: ready}}
	if model, err := ask(); model != "b" || err != nil {
		t.Error(model, err)
	}
	models = []*triviumv1.Model{{Name: "a", State: ready}, {Name: "b", State: ready}}
	if _, err := ask(); !errors.Is(err, trivium.ErrInvalidCall) || !strings.Contains(err.Error(), "a, b") {
		t.Error(err)
	}
}

func TestMediaFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "photo.png")
	if err := os.WriteFile(path, []byte("pixels"), 0o600); err != nil {
		t.Fatal(err)
	}
	media, err := trivium.MediaFile(path)
	if err != nil || string(media.GetContent()) != "pixels" || media.GetMimeType() != "image/png" {
		t.Error(media, err)
	}
	if _, err := trivium.MediaFile(path + ".not"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestEncryptionThatIsNotAgreedOnIsNotTriedAgain(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	counted := &countingListener{Listener: listener}
	server := scriptOn(t, counted, func(a attempt) error { return nil })
	_, err = count(t.Context(), connect(t, "https://"+server.target))
	if !errors.Is(err, trivium.ErrServerUnavailable) || !strings.Contains(err.Error(), "tls: ") {
		t.Error(err)
	}
	if made := counted.accepted.Load(); made != 1 {
		t.Errorf("%d connections", made)
	}
}

// countingListener counts the connections that it accepts.
type countingListener struct {
	net.Listener
	accepted atomic.Int32
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.accepted.Add(1)
	}
	return conn, err
}

func TestCallsAreSpreadOverTheAddressesOfAName(t *testing.T) {
	servers := []*scripted{answers(t), answers(t)}
	named := manual.NewBuilderWithScheme("trivium-test")
	named.InitialState(resolver.State{Endpoints: []resolver.Endpoint{
		{Addresses: []resolver.Address{{Addr: servers[0].target}}},
		{Addresses: []resolver.Address{{Addr: servers[1].target}}},
	}})
	resolver.Register(named)
	client := connect(t, "trivium-test:///servers:1", trivium.WithPlaintext())
	for range 100 {
		if _, err := count(t.Context(), client); err != nil {
			t.Fatal(err)
		}
	}
	for i, server := range servers {
		if made := len(server.attempts()); made < 20 {
			t.Errorf("server %d got %d of 100 calls", i, made)
		}
	}
}

func TestNothingListening(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := listener.Addr().String()
	listener.Close()
	client, err := trivium.NewClient(target, trivium.WithMaxAttempts(1))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	_, err = client.Models.ListModels(t.Context(), &triviumv1.ListModelsRequest{})
	wanted := "no server listens at " + target
	if !errors.Is(err, trivium.ErrServerUnavailable) || !strings.Contains(err.Error(), wanted) {
		t.Errorf("got %v, want %q", err, wanted)
	}
}
