package trivium.client;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import trivium.v1.AudioEncoding;
import trivium.v1.AudioFormat;
import trivium.v1.ListVoicesRequest;
import trivium.v1.ListVoicesResponse;
import trivium.v1.Media;
import trivium.v1.RecognitionConfig;
import trivium.v1.RecognizeRequest;
import trivium.v1.RecognizeResponse;
import trivium.v1.SpeechRecognitionServiceGrpc;
import trivium.v1.SpeechSynthesisServiceGrpc;
import trivium.v1.StreamRecognizeRequest;
import trivium.v1.StreamRecognizeResponse;
import trivium.v1.StreamRecognizeSetup;
import trivium.v1.StreamSynthesizeRequest;
import trivium.v1.StreamSynthesizeResponse;
import trivium.v1.StreamSynthesizeSetup;
import trivium.v1.SynthesisConfig;
import trivium.v1.SynthesisInput;
import trivium.v1.SynthesizeRequest;
import trivium.v1.SynthesizeResponse;

/**
 * Calls of SpeechRecognitionService and SpeechSynthesisService: speech into text, and text into
 * speech. Thread-safe.
 */
public final class Speech {
  private final Calls calls;

  Speech(Calls calls) {
    this.calls = calls;
  }

  /**
   * Changes the settings of the calls.
   *
   * @param settings the settings, in place of those so far
   * @return the same calls with these settings
   */
  public Speech with(CallSettings settings) {
    return new Speech(calls.with(settings));
  }

  /**
   * Transcribes a recording.
   *
   * @param request what to send
   * @return the response
   * @throws TriviumException where the call failed, or this thread was interrupted
   */
  public RecognizeResponse recognize(RecognizeRequest request) {
    return calls.send(SpeechRecognitionServiceGrpc.getRecognizeMethod(), request);
  }

  /**
   * Transcribes a recording, without waiting.
   *
   * @param request what to send
   * @return the response, once it is there
   */
  public ResponseFuture<RecognizeResponse> recognizeAsync(RecognizeRequest request) {
    return calls.sendAsync(SpeechRecognitionServiceGrpc.getRecognizeMethod(), request);
  }

  /**
   * Speaks a text, and returns all of the sound.
   *
   * @param request what to send
   * @return the response
   * @throws TriviumException where the call failed, or this thread was interrupted
   */
  public SynthesizeResponse synthesize(SynthesizeRequest request) {
    return calls.send(SpeechSynthesisServiceGrpc.getSynthesizeMethod(), request);
  }

  /**
   * Speaks a text, and returns all of the sound, without waiting.
   *
   * @param request what to send
   * @return the response, once it is there
   */
  public ResponseFuture<SynthesizeResponse> synthesizeAsync(SynthesizeRequest request) {
    return calls.sendAsync(SpeechSynthesisServiceGrpc.getSynthesizeMethod(), request);
  }

  /**
   * Lists the voices of the models that are ready, a page at a time.
   *
   * @param request what to send
   * @return the response
   * @throws TriviumException where the call failed, or this thread was interrupted
   */
  public ListVoicesResponse listVoices(ListVoicesRequest request) {
    return calls.send(SpeechSynthesisServiceGrpc.getListVoicesMethod(), request);
  }

  /**
   * Lists the voices of the models that are ready, a page at a time, without waiting.
   *
   * @param request what to send
   * @return the response, once it is there
   */
  public ResponseFuture<ListVoicesResponse> listVoicesAsync(ListVoicesRequest request) {
    return calls.sendAsync(SpeechSynthesisServiceGrpc.getListVoicesMethod(), request);
  }

  /**
   * Transcribes a recording.
   *
   * @param model the name of the model
   * @param recording WAV, FLAC, Ogg Opus or MP3, for example from {@link MediaFiles}
   * @return the text and its segments
   * @throws TriviumException where the call failed, or this thread was interrupted
   */
  public RecognizeResponse recognize(String model, Media recording) {
    return recognize(
        RecognizeRequest.newBuilder()
            .setConfig(RecognitionConfig.newBuilder().setModel(model))
            .setAudio(recording)
            .build());
  }

  /**
   * Speaks a text into a WAV file.
   *
   * @param model the name of the model, whose first voice speaks
   * @param text the text
   * @param file where to write the sound; a file that is there is replaced
   * @return the response, with the times of the sentences
   * @throws IOException where the file cannot be written
   * @throws TriviumException where the call failed, or this thread was interrupted
   */
  public SynthesizeResponse speak(String model, String text, Path file) throws IOException {
    SynthesizeResponse response =
        synthesize(
            SynthesizeRequest.newBuilder()
                .setConfig(
                    SynthesisConfig.newBuilder()
                        .setModel(model)
                        .setOutputFormat(
                            AudioFormat.newBuilder().setEncoding(AudioEncoding.AUDIO_ENCODING_WAV)))
                .setInput(SynthesisInput.newBuilder().setText(text))
                .build());
    Files.write(file, response.getAudio().toByteArray());
    return response;
  }

  /**
   * Transcribes speech while it is spoken, or a file that is sent in pieces.
   *
   * @param setup what to recognise, and how
   * @return the stream, to which the sound is to be sent; to be closed. Where nothing is to be sent
   *     for long, send KeepAlive every 15 seconds
   */
  public DuplexStream<StreamRecognizeRequest, StreamRecognizeResponse> streamRecognize(
      StreamRecognizeSetup setup) {
    DuplexStream<StreamRecognizeRequest, StreamRecognizeResponse> stream =
        calls.duplex(SpeechRecognitionServiceGrpc.getStreamRecognizeMethod());
    stream.begin(StreamRecognizeRequest.newBuilder().setSetup(setup).build());
    return stream;
  }

  /**
   * Speaks text while it is still being written.
   *
   * @param config how to speak
   * @return the stream, to which the text is to be sent; to be closed
   */
  public DuplexStream<StreamSynthesizeRequest, StreamSynthesizeResponse> streamSynthesize(
      SynthesisConfig config) {
    DuplexStream<StreamSynthesizeRequest, StreamSynthesizeResponse> stream =
        calls.duplex(SpeechSynthesisServiceGrpc.getStreamSynthesizeMethod());
    stream.begin(
        StreamSynthesizeRequest.newBuilder()
            .setSetup(StreamSynthesizeSetup.newBuilder().setConfig(config))
            .build());
    return stream;
  }
}
