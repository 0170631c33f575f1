// Transcribes a WAV file of 16 bits and one channel while it is heard, as a microphone would be. For example
//
//	go run ./examples/live_transcription talk.wav
//	go run ./examples/live_transcription --fast talk.wav
package main

import (
	"context"
	"flag"
	"fmt"
	"iter"
	"log"
	"os"
	"time"

	trivium "trivium.internal/go"
	triviumv1 "trivium.internal/go/trivium/v1"
)

// piece is how much sound is sent at once.
const piece = 40 * time.Millisecond

func main() {
	log.SetFlags(0)
	fast := flag.Bool("fast", false, "send without pauses")
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("usage: live_transcription [--fast] FILE.wav")
	}
	if err := transcribe(context.Background(), flag.Arg(0), *fast); err != nil {
		log.Fatal(err)
	}
}

func transcribe(ctx context.Context, path string, fast bool) error {
	file, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	sound, err := parseWAV(file)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	client, err := trivium.NewClient("")
	if err != nil {
		return err
	}
	defer client.Close()
	for heard, err := range client.Speech.Listen(ctx, sound.pieces(fast), sound.rateHz) {
		if err != nil {
			return err
		}
		text := textOf(heard.GetSegment())
		if !heard.GetIsFinal() {
			fmt.Println("…", text)
		} else if text != "" {
			from, to := heard.GetSegment().GetStartOffset().AsDuration(), heard.GetSegment().GetEndOffset().AsDuration()
			fmt.Printf("%5.1f to %5.1f s  %s\n", from.Seconds(), to.Seconds(), text)
		}
	}
	return nil
}

// textOf returns the likeliest text of a segment.
func textOf(segment *triviumv1.TranscriptSegment) string {
	for _, alternative := range segment.GetAlternatives() {
		return alternative.GetText()
	}
	return ""
}

// pieces iterates the sound, as fast as it was spoken unless fast is set.
func (s sound) pieces(fast bool) iter.Seq[[]byte] {
	size := 2 * int(time.Duration(s.rateHz)*piece/time.Second)
	return func(yield func([]byte) bool) {
		next := time.Now()
		for rest := s.samples; len(rest) > 0; rest = rest[min(size, len(rest)):] {
			if !yield(rest[:min(size, len(rest))]) {
				return
			}
			if next = next.Add(piece); !fast {
				time.Sleep(time.Until(next))
			}
		}
	}
}
