package trivium

import (
	"context"

	"google.golang.org/grpc"

	triviumv1 "trivium.internal/go/trivium/v1"
)

// VisionClient looks at images. Safe for concurrent use.
//
// A short form looks at one thing of one image; AnalyzeImage looks at several at once, with options, and
// StreamAnalyzeImage at the frames of a camera. Places are fractions of the upright image.
type VisionClient struct {
	triviumv1.VisionServiceClient
	conn   *conn
	choice *modelChoice
}

// ReadText returns what is written in an image, by lines in reading order.
func (c *VisionClient) ReadText(
	ctx context.Context, image *triviumv1.Media, options ...grpc.CallOption,
) (*triviumv1.RecognizedText, error) {
	result, err := c.look(ctx, image, triviumv1.Capability_CAPABILITY_RECOGNIZE_TEXT, &triviumv1.VisionFeature{
		Feature: &triviumv1.VisionFeature_TextRecognition{TextRecognition: &triviumv1.TextRecognitionFeature{}},
	}, options)
	return result.GetTextRecognition(), err
}

// Classify returns what an image shows as a whole, likeliest first.
func (c *VisionClient) Classify(
	ctx context.Context, image *triviumv1.Media, options ...grpc.CallOption,
) (*triviumv1.ImageLabels, error) {
	result, err := c.look(ctx, image, triviumv1.Capability_CAPABILITY_CLASSIFY_IMAGE, &triviumv1.VisionFeature{
		Feature: &triviumv1.VisionFeature_Classification{Classification: &triviumv1.ImageClassificationFeature{}},
	}, options)
	return result.GetClassification(), err
}

// Detect returns which things are where.
func (c *VisionClient) Detect(
	ctx context.Context, image *triviumv1.Media, options ...grpc.CallOption,
) (*triviumv1.DetectedObjects, error) {
	result, err := c.look(ctx, image, triviumv1.Capability_CAPABILITY_DETECT_OBJECTS, &triviumv1.VisionFeature{
		Feature: &triviumv1.VisionFeature_Detection{Detection: &triviumv1.ObjectDetectionFeature{}},
	}, options)
	return result.GetDetection(), err
}

// Faces returns where faces are.
func (c *VisionClient) Faces(
	ctx context.Context, image *triviumv1.Media, options ...grpc.CallOption,
) (*triviumv1.DetectedFaces, error) {
	result, err := c.look(ctx, image, triviumv1.Capability_CAPABILITY_DETECT_FACES, &triviumv1.VisionFeature{
		Feature: &triviumv1.VisionFeature_Faces{Faces: &triviumv1.FaceDetectionFeature{}},
	}, options)
	return result.GetFaces(), err
}

// look asks for one feature, and returns its error as that of the call.
func (c *VisionClient) look(
	ctx context.Context,
	image *triviumv1.Media,
	capability triviumv1.Capability,
	feature *triviumv1.VisionFeature,
	options []grpc.CallOption,
) (*triviumv1.VisionResult, error) {
	ctx, cancel := c.conn.limit(ctx)
	defer cancel()
	var err error
	if feature.Model, err = c.choice.name(ctx, capability, options); err != nil {
		return nil, err
	}
	request := &triviumv1.AnalyzeImageRequest{Image: image, Features: []*triviumv1.VisionFeature{feature}}
	response, err := c.AnalyzeImage(ctx, request, options...)
	if err != nil {
		return nil, err
	}
	if len(response.GetResults()) != 1 {
		return nil, damaged("the server sent %d results for one feature", len(response.GetResults()))
	}
	result := response.GetResults()[0]
	return result, ErrorFromStatus(result.GetError())
}
