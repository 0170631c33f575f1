// Talks with a language model: every argument is a message of the user, and each is answered in view of what was said
// before. For example
//
//	go run ./examples/chat_stream "My name is Ada." "What is my name?"
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"

	trivium "trivium.internal/go"
	triviumv1 "trivium.internal/go/trivium/v1"
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := chat(ctx, os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func chat(ctx context.Context, prompts []string) error {
	client, err := trivium.NewClient("")
	if err != nil {
		return err
	}
	defer client.Close()
	var said []*triviumv1.ChatMessage
	for _, prompt := range prompts {
		said = append(said, trivium.User(prompt))
		fmt.Println(">", prompt)
		var answer strings.Builder
		for text, err := range client.Text.StreamInput(ctx, trivium.Chat(said...)) {
			if err != nil {
				return err
			}
			fmt.Print(text)
			answer.WriteString(text)
		}
		fmt.Println()
		said = append(said, trivium.Assistant(answer.String()))
	}
	return nil
}
