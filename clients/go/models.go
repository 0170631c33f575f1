package trivium

import (
	"context"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"

	triviumv1 "trivium.internal/go/trivium/v1"
)

// ModelsClient tells which models a server has. Safe for concurrent use.
type ModelsClient struct {
	triviumv1.ModelServiceClient
}

// All iterates the models by name, of all pages. capability CAPABILITY_UNSPECIFIED means every model.
func (c *ModelsClient) All(
	ctx context.Context, capability triviumv1.Capability, options ...grpc.CallOption,
) iter.Seq2[*triviumv1.Model, error] {
	return func(yield func(*triviumv1.Model, error) bool) {
		request := &triviumv1.ListModelsRequest{Capability: capability}
		for {
			page, err := c.ListModels(ctx, request, options...)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, model := range page.GetModels() {
				if !yield(model, nil) {
					return
				}
			}
			if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
				return
			}
		}
	}
}

// choiceHolds is how long the answer to "which model is meant where none is named?" holds.
const choiceHolds = 30 * time.Second

// modelChoice remembers which model is meant where a short form names none.
type modelChoice struct {
	models *ModelsClient
	mutex  sync.Mutex
	chosen map[triviumv1.Capability]chosenModel
}

type chosenModel struct {
	name  string
	until time.Time
}

func newModelChoice(models *ModelsClient) *modelChoice {
	return &modelChoice{models: models, chosen: map[triviumv1.Capability]chosenModel{}}
}

// name returns the model that the options name, else the one that is meant. The caller's deadline holds.
func (c *modelChoice) name(
	ctx context.Context, capability triviumv1.Capability, options []grpc.CallOption,
) (string, error) {
	if named := readCallOptions(options).model; named != "" {
		return named, nil
	}
	c.mutex.Lock()
	known := c.chosen[capability]
	c.mutex.Unlock()
	if time.Now().Before(known.until) {
		return known.name, nil
	}
	name, err := c.ask(ctx, capability)
	if err != nil {
		return "", err
	}
	c.mutex.Lock()
	c.chosen[capability] = chosenModel{name, time.Now().Add(choiceHolds)}
	c.mutex.Unlock()
	return name, nil
}

// ask returns the only model that is ready, else the only one at all.
func (c *modelChoice) ask(ctx context.Context, capability triviumv1.Capability) (string, error) {
	var ready, others []string
	for model, err := range c.models.All(ctx, capability) {
		if err != nil {
			return "", err
		}
		if model.GetState() == triviumv1.ModelState_MODEL_STATE_READY {
			ready = append(ready, model.GetName())
		} else {
			others = append(others, model.GetName())
		}
	}
	candidates := ready
	if len(ready) == 0 {
		candidates = others
	}
	switch len(candidates) {
	case 0:
		return "", invalid("the server has no model with %v", capability)
	case 1:
		return candidates[0], nil
	}
	slices.Sort(candidates)
	return "", invalid("several models of the server have %v; choose one with trivium.Model: %s",
		capability, strings.Join(candidates, ", "))
}
