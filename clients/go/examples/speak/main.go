// Speaks a text into a WAV file. For example
//
//	go run ./examples/speak "Good morning." morning.wav
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	trivium "trivium.internal/go"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: speak TEXT FILE.wav")
	}
	if err := speak(context.Background(), os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func speak(ctx context.Context, text, path string) error {
	client, err := trivium.NewClient("")
	if err != nil {
		return err
	}
	defer client.Close()
	spoken, err := client.Speech.Speak(ctx, text)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, spoken.GetAudio(), 0o666); err != nil {
		return err
	}
	fmt.Printf("%s: %.1f s at %d Hz\n", path,
		spoken.GetAudioDuration().AsDuration().Seconds(), spoken.GetFormat().GetSampleRateHertz())
	return nil
}
