// Tells which texts are closest in meaning to the first one. For example
//
//	go run ./examples/embed_compare "A cat sleeps." "A kitten naps." "Shares fell."
package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"math"
	"os"
	"slices"

	trivium "trivium.internal/go"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) < 3 {
		log.Fatal("usage: embed_compare TEXT TEXT…")
	}
	if err := compare(context.Background(), os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func compare(ctx context.Context, texts []string) error {
	client, err := trivium.NewClient("")
	if err != nil {
		return err
	}
	defer client.Close()
	vectors, err := client.Embed(ctx, texts)
	if err != nil {
		return err
	}
	others := make([]int, len(texts)-1)
	for i := range others {
		others[i] = i + 1
	}
	slices.SortFunc(others, func(a, b int) int {
		return cmp.Compare(cosine(vectors[0], vectors[b]), cosine(vectors[0], vectors[a]))
	})
	for _, i := range others {
		fmt.Printf("%6.3f  %s\n", cosine(vectors[0], vectors[i]), texts[i])
	}
	return nil
}

// cosine returns that of the angle between two vectors.
func cosine(a, b []float32) float64 {
	var product, lenA, lenB float64
	for i := range a {
		product += float64(a[i]) * float64(b[i])
		lenA += float64(a[i]) * float64(a[i])
		lenB += float64(b[i]) * float64(b[i])
	}
	return product / math.Sqrt(lenA*lenB)
}
