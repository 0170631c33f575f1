package trivium_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	trivium "trivium.internal/go"
	adminv1 "trivium.internal/go/trivium/admin/v1"
	triviumv1 "trivium.internal/go/trivium/v1"
)

// A picture of the documentation, with photos and a scanned page in it.
const picture = "../../docs/images/vision.png"

// needsServer skips a test where no real server is named.
func needsServer(t *testing.T) {
	t.Helper()
	if os.Getenv(trivium.TargetVariable) == "" {
		t.Skip("set TRIVIUM_TARGET to a server with a model for text, embeddings, reading, hearing and speaking")
	}
}

// build compiles a program of this module and returns its path.
func build(t *testing.T, folder string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "program")
	if output, err := exec.Command("go", "build", "-o", program, folder).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return program
}

// output runs a program in a folder with the picture as scan.png and returns what it printed.
func output(t *testing.T, program string, arguments ...string) string {
	t.Helper()
	content, err := os.ReadFile(picture)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "scan.png"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), program, arguments...)
	command.Dir, command.Stderr = folder, os.Stderr
	printed, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(printed)
}

func expect(t *testing.T, printed, form string) {
	t.Helper()
	if !regexp.MustCompile(form).MatchString(printed) {
		t.Errorf("it printed %q, which does not match %q", printed, form)
	}
}

// fragment is the program around a snippet of the README that is none by itself.
const fragment = `package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	trivium "trivium.internal/go"
	triviumv1 "trivium.internal/go/trivium/v1"
)

var (
	_ = errors.Is
	_ = os.WriteFile
	_ triviumv1.CallInfo
)

func main() {
	client, err := trivium.NewClient("")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if err := run(context.Background(), client); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, client *trivium.Client) error {
SNIPPET
	return nil
}
`

func TestSnippetsOfTheReadme(t *testing.T) {
	wanted := []string{
		`Tokyo`,
		`(?s)^2 vectors of 384\n.*Region-based segmentation.*Good morning`,
		`Tokyo.*input_tokens:\d+ +output_tokens:\d+ \d`,
		`^no such model: smollm2-135m-instruct \S{36}\n$`,
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	snippets := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	if len(snippets) != len(wanted) {
		t.Fatalf("the README has %d snippets, and this test answers for %d", len(snippets), len(wanted))
	}
	for i, snippet := range snippets {
		source := snippet[1]
		if !strings.HasPrefix(source, "package ") {
			source = strings.Replace(fragment, "SNIPPET", source, 1)
		}
		// Within the module, where it finds the package.
		folder, err := os.MkdirTemp(".", "snippet")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(folder) })
		if err := os.WriteFile(filepath.Join(folder, "main.go"), []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		program := build(t, "./"+folder)
		t.Run(snippet[1][:min(30, len(snippet[1]))], func(t *testing.T) {
			needsServer(t)
			expect(t, output(t, program), wanted[i])
		})
	}
}

func TestExamples(t *testing.T) {
	needsServer(t)
	wav := filepath.Join(t.TempDir(), "spoken.wav")
	cases := []struct {
		name      string
		arguments []string
		want      string
	}{
		{"chat_stream", []string{"What is the capital of Japan?", "And of France?"}, `(?s)> What.*Tokyo.*> And of France\?\n.*\w`},
		{"embed_compare", []string{"A cat sleeps.", "Shares fell.", "A kitten naps."}, `^ +0\.\d+  A kitten naps\.\n *-?0\.\d+  Shares fell\.\n$`},
		{"read_image", []string{"scan.png"}, `\d+ %  Region-based segmentation`},
		{"speak", []string{"Good morning. How are you today?", wav}, `\.wav: \d\.\d s at \d+ Hz\n$`},
		{"live_transcription", []string{wav}, `(?s)… Good.* s  .*[Gg]ood morning.*today`},
		{"live_transcription", []string{"--fast", wav}, `(?s) s  .*[Gg]ood morning.*today`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			expect(t, output(t, build(t, "./examples/"+c.name), c.arguments...), c.want)
		})
	}
}

func TestRealServer(t *testing.T) {
	needsServer(t)
	client := connect(t, "")
	t.Run("ask", func(t *testing.T) {
		answer, err := client.Text.Ask(t.Context(), "What is the capital of Japan?")
		if err != nil || !strings.Contains(answer, "Tokyo") {
			t.Error(answer, err)
		}
	})
	t.Run("stop early", func(t *testing.T) {
		for text, err := range client.Text.Stream(t.Context(), "Tell me a long story.") {
			if err != nil || text == "" {
				t.Error(text, err)
			}
			break
		}
	})
	t.Run("deadline", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		var err error
		for _, err = range client.Text.Stream(ctx, "Write a very long story about the sea.", trivium.Model("smollm2-135m-instruct")) {
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
	t.Run("wrong field", func(t *testing.T) {
		input := trivium.Chat(trivium.User("Hi"))
		input.Model, input.Sampling = "smollm2-135m-instruct", &triviumv1.SamplingParameters{TopP: new(float32(2))}
		_, err := client.Text.Generate(t.Context(), &triviumv1.GenerateRequest{Input: input})
		failed, _ := errors.AsType[*trivium.Error](err)
		if !errors.Is(err, trivium.ErrInvalidArgumentField) || failed.FieldViolations[0].Field != "input.sampling.top_p" {
			t.Error(err)
		}
	})
	t.Run("compare", func(t *testing.T) {
		cosines, err := client.Compare(t.Context(), "A cat sleeps.", []string{"A kitten naps.", "Shares fell."})
		if err != nil || cosines[0] < 0.5 || cosines[1] > 0.3 {
			t.Error(cosines, err)
		}
	})
	t.Run("speak while it is written", func(t *testing.T) {
		sound := 0
		for chunk, err := range client.Speech.SpeakStream(t.Context(), client.Text.Stream(t.Context(), "Say hello.")) {
			if err != nil {
				t.Fatal(err)
			}
			sound += len(chunk.GetAudio())
		}
		if sound < 10_000 {
			t.Errorf("%d bytes of sound", sound)
		}
	})
	t.Run("see", func(t *testing.T) {
		image, err := trivium.MediaFile(picture)
		if err != nil {
			t.Fatal(err)
		}
		labels, err := client.Vision.Classify(t.Context(), image)
		if err != nil || len(labels.GetLabels()) == 0 {
			t.Error(labels, err)
		}
		_, err = client.Vision.Classify(t.Context(), trivium.Media([]byte("no image")))
		if !errors.Is(err, trivium.ErrUndecodableMedia) {
			t.Error(err)
		}
	})
	t.Run("models", func(t *testing.T) {
		names := 0
		for model, err := range client.Models.All(t.Context(), triviumv1.Capability_CAPABILITY_UNSPECIFIED) {
			if err != nil || model.GetName() == "" {
				t.Error(model, err)
			}
			names++
		}
		if names < 5 {
			t.Error(names)
		}
		for event, err := range trivium.Events(client.Models.WatchModels(t.Context(), &triviumv1.WatchModelsRequest{})) {
			if err != nil {
				t.Fatal(err)
			}
			if event.GetSnapshotEnd() != nil {
				break
			}
		}
	})
	t.Run("server", func(t *testing.T) {
		info, err := client.Admin.GetServerInfo(t.Context(), &adminv1.GetServerInfoRequest{})
		if err != nil || info.GetServerVersion() == "" {
			t.Error(info, err)
		}
		health, err := client.Health.Check(t.Context(), &healthv1.HealthCheckRequest{})
		if err != nil || health.GetStatus() != healthv1.HealthCheckResponse_SERVING {
			t.Error(health, err)
		}
	})
}
