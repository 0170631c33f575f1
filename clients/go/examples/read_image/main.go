// Prints what is written in images, line by line. For example
//
//	go run ./examples/read_image scan.png
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
	if len(os.Args) < 2 {
		log.Fatal("usage: read_image FILE…")
	}
	if err := read(context.Background(), os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func read(ctx context.Context, paths []string) error {
	client, err := trivium.NewClient("")
	if err != nil {
		return err
	}
	defer client.Close()
	for _, path := range paths {
		image, err := trivium.MediaFile(path)
		if err != nil {
			return err
		}
		found, err := client.Vision.ReadText(ctx, image)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, line := range found.GetLines() {
			fmt.Printf("%3.0f %%  %s\n", 100*line.GetScore(), line.GetText())
		}
	}
	return nil
}
