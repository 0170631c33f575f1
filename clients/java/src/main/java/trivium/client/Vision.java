package trivium.client;

import trivium.v1.AnalyzeImageRequest;
import trivium.v1.AnalyzeImageResponse;
import trivium.v1.DetectedFaces;
import trivium.v1.DetectedObjects;
import trivium.v1.FaceDetectionFeature;
import trivium.v1.ImageClassificationFeature;
import trivium.v1.ImageLabels;
import trivium.v1.Media;
import trivium.v1.ObjectDetectionFeature;
import trivium.v1.RecognizedText;
import trivium.v1.StreamAnalyzeImageRequest;
import trivium.v1.StreamAnalyzeImageResponse;
import trivium.v1.StreamAnalyzeImageSetup;
import trivium.v1.TextRecognitionFeature;
import trivium.v1.VisionFeature;
import trivium.v1.VisionResult;
import trivium.v1.VisionServiceGrpc;

/** Calls of VisionService: what images show. Thread-safe. */
public final class Vision {
  private final Calls calls;

  Vision(Calls calls) {
    this.calls = calls;
  }

  /**
   * Changes the settings of the calls.
   *
   * @param settings the settings, in place of those so far
   * @return the same calls with these settings
   */
  public Vision with(CallSettings settings) {
    return new Vision(calls.with(settings));
  }

  /**
   * Answers one or more features of one image.
   *
   * @param request what to send
   * @return the response
   * @throws TriviumException where the call failed, or this thread was interrupted
   */
  public AnalyzeImageResponse analyzeImage(AnalyzeImageRequest request) {
    return calls.send(VisionServiceGrpc.getAnalyzeImageMethod(), request);
  }

  /**
   * Answers one or more features of one image, without waiting.
   *
   * @param request what to send
   * @return the response, once it is there
   */
  public ResponseFuture<AnalyzeImageResponse> analyzeImageAsync(AnalyzeImageRequest request) {
    return calls.sendAsync(VisionServiceGrpc.getAnalyzeImageMethod(), request);
  }

  /**
   * Reads what is written in an image.
   *
   * @param model the name of the model
   * @param image the image, for example from {@link MediaFiles}
   * @return the text and its lines
   * @throws TriviumException where it could not be read, or this thread was interrupted
   */
  public RecognizedText recognizeText(String model, Media image) {
    VisionFeature.Builder feature =
        VisionFeature.newBuilder().setTextRecognition(TextRecognitionFeature.getDefaultInstance());
    return analyze(model, image, feature).getTextRecognition();
  }

  /**
   * Labels an image as a whole.
   *
   * @param model the name of the model
   * @param image the image, for example from {@link MediaFiles}
   * @return the five best labels, best first
   * @throws TriviumException where it could not be looked at, or this thread was interrupted
   */
  public ImageLabels classify(String model, Media image) {
    VisionFeature.Builder feature =
        VisionFeature.newBuilder()
            .setClassification(ImageClassificationFeature.getDefaultInstance());
    return analyze(model, image, feature).getClassification();
  }

  /**
   * Finds things in an image.
   *
   * @param model the name of the model
   * @param image the image, for example from {@link MediaFiles}
   * @return the things and their places, best first
   * @throws TriviumException where it could not be looked at, or this thread was interrupted
   */
  public DetectedObjects detectObjects(String model, Media image) {
    VisionFeature.Builder feature =
        VisionFeature.newBuilder().setDetection(ObjectDetectionFeature.getDefaultInstance());
    return analyze(model, image, feature).getDetection();
  }

  /**
   * Finds faces in an image. It tells nobody apart.
   *
   * @param model the name of the model
   * @param image the image, for example from {@link MediaFiles}
   * @return the faces, best first
   * @throws TriviumException where it could not be looked at, or this thread was interrupted
   */
  public DetectedFaces detectFaces(String model, Media image) {
    VisionFeature.Builder feature =
        VisionFeature.newBuilder().setFaces(FaceDetectionFeature.getDefaultInstance());
    return analyze(model, image, feature).getFaces();
  }

  /**
   * Answers the same features of any number of images while they are sent.
   *
   * @param setup what to find out, and what to do with frames that come too fast
   * @return the stream, to which the frames are to be sent; to be closed
   */
  public DuplexStream<StreamAnalyzeImageRequest, StreamAnalyzeImageResponse> streamAnalyzeImage(
      StreamAnalyzeImageSetup setup) {
    DuplexStream<StreamAnalyzeImageRequest, StreamAnalyzeImageResponse> stream =
        calls.duplex(VisionServiceGrpc.getStreamAnalyzeImageMethod());
    stream.begin(StreamAnalyzeImageRequest.newBuilder().setSetup(setup).build());
    return stream;
  }

  private VisionResult analyze(String model, Media image, VisionFeature.Builder feature) {
    AnalyzeImageResponse response =
        analyzeImage(
            AnalyzeImageRequest.newBuilder()
                .setImage(image)
                .addFeatures(feature.setModel(model))
                .build());
    VisionResult result = response.getResults(0);
    if (result.hasError()) {
      throw TriviumException.of(result.getError(), response.getInfo().getRequestId());
    }
    return result;
  }
}
