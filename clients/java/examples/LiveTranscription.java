import com.google.protobuf.ByteString;
import java.io.File;
import java.io.IOException;
import javax.sound.sampled.AudioFormat;
import javax.sound.sampled.AudioInputStream;
import javax.sound.sampled.AudioSystem;
import javax.sound.sampled.UnsupportedAudioFileException;
import trivium.client.DuplexStream;
import trivium.client.TriviumClient;
import trivium.client.TriviumException;
import trivium.v1.AudioEncoding;
import trivium.v1.RecognitionConfig;
import trivium.v1.StreamRecognizeRequest;
import trivium.v1.StreamRecognizeResponse;
import trivium.v1.StreamRecognizeSetup;
import trivium.v1.TranscriptUpdate;

/**
 * Transcribes a WAV file of 16 bits and one channel as if it were being spoken. LiveTranscription
 * [--fast] FILE; --fast sends it without pauses.
 */
public final class LiveTranscription {
  private static final String MODEL = "moonshine-tiny-en";
  private static final int CHUNK_MS = 40;

  private LiveTranscription() {}

  public static void main(String[] arguments) throws InterruptedException {
    boolean isFast = arguments.length == 2 && arguments[0].equals("--fast");
    if (arguments.length != (isFast ? 2 : 1)) {
      System.err.println("usage: LiveTranscription [--fast] FILE");
      System.exit(2);
    }
    File file = new File(arguments[arguments.length - 1]);
    try (AudioInputStream sound = AudioSystem.getAudioInputStream(file);
        TriviumClient client = TriviumClient.create();
        var stream = client.speech().streamRecognize(setup(sound.getFormat()))) {
      Thread sender = new Thread(() -> send(sound, stream, isFast));
      sender.start();
      for (StreamRecognizeResponse event : stream) {
        if (event.hasTranscript()) {
          print(event.getTranscript());
        } else if (event.hasGoAway()) {
          stream.halfClose();
        }
      }
      sender.join();
    } catch (IOException
        | UnsupportedAudioFileException
        | IllegalArgumentException
        | TriviumException e) {
      System.err.println(e);
      System.exit(1);
    }
  }

  private static StreamRecognizeSetup setup(AudioFormat format)
      throws UnsupportedAudioFileException {
    if (format.getSampleSizeInBits() != 16 || format.getChannels() != 1 || format.isBigEndian()) {
      throw new UnsupportedAudioFileException("the file is " + format + ", not 16 bits and mono");
    }
    return StreamRecognizeSetup.newBuilder()
        .setInterimResults(true)
        .setConfig(
            RecognitionConfig.newBuilder()
                .setModel(MODEL)
                .setFormat(
                    trivium.v1.AudioFormat.newBuilder()
                        .setEncoding(AudioEncoding.AUDIO_ENCODING_PCM_S16LE)
                        .setSampleRateHertz((int) format.getSampleRate())))
        .build();
  }

  private static void send(
      AudioInputStream sound,
      DuplexStream<StreamRecognizeRequest, StreamRecognizeResponse> stream,
      boolean isFast) {
    byte[] chunk = new byte[2 * (int) sound.getFormat().getSampleRate() * CHUNK_MS / 1000];
    try {
      for (int size = sound.read(chunk); size > 0; size = sound.read(chunk)) {
        var audio = ByteString.copyFrom(chunk, 0, size);
        if (!stream.send(StreamRecognizeRequest.newBuilder().setAudio(audio).build())) {
          return; // the reading thread is told why
        }
        if (!isFast) {
          Thread.sleep(CHUNK_MS);
        }
      }
      stream.halfClose();
    } catch (IOException | InterruptedException e) {
      System.err.println(e);
      stream.close();
    }
  }

  private static void print(TranscriptUpdate update) {
    String text = update.getSegment().getAlternatives(0).getText();
    System.out.println((update.getIsFinal() ? "= " : "… ") + text);
  }
}
