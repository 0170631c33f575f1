package trivium.client;

import com.google.protobuf.ByteString;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import trivium.v1.Media;

/** Reads images and recordings as they are sent to a server. */
public final class MediaFiles {
  private MediaFiles() {}

  /**
   * Reads a file. Its content says what it is; the name does not matter.
   *
   * @param file an image or a recording
   * @return all of it
   * @throws IOException where it cannot be read
   */
  public static Media read(Path file) throws IOException {
    return of(Files.readAllBytes(file));
  }

  /**
   * Takes the bytes of a file.
   *
   * @param content an image or a recording
   * @return a copy of it
   */
  public static Media of(byte[] content) {
    return Media.newBuilder().setContent(ByteString.copyFrom(content)).build();
  }
}
