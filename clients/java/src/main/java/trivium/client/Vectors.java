package trivium.client;

import com.google.protobuf.ByteString;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import trivium.v1.Embedding;
import trivium.v1.ImageEmbedding;
import trivium.v1.PackedVector;

/** Reads vectors, however they were sent, and compares them. */
public final class Vectors {
  private Vectors() {}

  /**
   * Reads the one vector of a text.
   *
   * @param embedding a dense vector, in any encoding
   * @return its components; for VECTOR_ENCODING_BINARY_BYTES 1 for a bit that is set and -1 for
   *     another
   * @throws IllegalArgumentException where there is no dense vector, or in an unknown encoding
   */
  public static float[] of(Embedding embedding) {
    return switch (embedding.getVectorCase()) {
      case DENSE -> array(embedding.getDense().getValuesList());
      case PACKED -> unpack(embedding.getPacked());
      default ->
          throw new IllegalArgumentException(
              "the embedding is " + embedding.getVectorCase() + ", not one dense vector");
    };
  }

  /**
   * Reads the vector of an image.
   *
   * @param embedding the vector, in any encoding
   * @return its components, as for a text
   * @throws IllegalArgumentException where there is none, or in an unknown encoding
   */
  public static float[] of(ImageEmbedding embedding) {
    return switch (embedding.getVectorCase()) {
      case DENSE -> array(embedding.getDense().getValuesList());
      case PACKED -> unpack(embedding.getPacked());
      case VECTOR_NOT_SET -> throw new IllegalArgumentException("the embedding has no vector");
    };
  }

  /**
   * Reads a vector that was sent as bytes.
   *
   * @param packed the vector
   * @return its components, as for a text
   * @throws IllegalArgumentException where the encoding is unknown, or the bytes are too few for it
   */
  public static float[] unpack(PackedVector packed) {
    float[] components = new float[packed.getDimensions()];
    ByteString data = packed.getData();
    int needed = bytesOf(packed);
    if (data.size() < needed) {
      throw new IllegalArgumentException(
          "the vector has " + data.size() + " bytes; its encoding needs " + needed);
    }
    ByteBuffer bytes = data.asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < components.length; i++) {
      components[i] =
          switch (packed.getEncoding()) {
            case VECTOR_ENCODING_FLOAT32_BYTES -> bytes.getFloat(4 * i);
            case VECTOR_ENCODING_FLOAT16_BYTES -> half(bytes.getShort(2 * i));
            case VECTOR_ENCODING_INT8_BYTES -> bytes.get(i) * packed.getScale();
            default -> (bytes.get(i / 8) >> (7 - i % 8) & 1) == 1 ? 1 : -1;
          };
    }
    return components;
  }

  private static int bytesOf(PackedVector packed) {
    int dimensions = packed.getDimensions();
    return switch (packed.getEncoding()) {
      case VECTOR_ENCODING_FLOAT32_BYTES -> 4 * dimensions;
      case VECTOR_ENCODING_FLOAT16_BYTES -> 2 * dimensions;
      case VECTOR_ENCODING_INT8_BYTES -> dimensions;
      case VECTOR_ENCODING_BINARY_BYTES -> (dimensions + 7) / 8;
      default ->
          throw new IllegalArgumentException(
              "a vector in encoding " + packed.getEncodingValue() + " cannot be read");
    };
  }

  /** Reads IEEE 754 binary16; Java has this itself only from version 20 on. */
  static float half(short bits) {
    int exponent = bits >> 10 & 0x1f;
    int fraction = bits & 0x3ff;
    float size =
        switch (exponent) {
          case 0 -> Math.scalb((float) fraction, -24);
          case 0x1f -> fraction == 0 ? Float.POSITIVE_INFINITY : Float.NaN;
          default -> Math.scalb((float) (fraction | 0x400), exponent - 25);
        };
    return bits < 0 ? -size : size;
  }

  /**
   * Returns the cosine of the angle between two vectors.
   *
   * @param one a vector
   * @param other another of the same length
   * @return -1 to 1; NaN where one of them is all zeros
   * @throws IllegalArgumentException where the lengths differ
   */
  public static double cosine(float[] one, float[] other) {
    if (one.length != other.length) {
      throw new IllegalArgumentException(
          "the vectors have " + one.length + " and " + other.length + " components");
    }
    double product = 0;
    double square = 0;
    double otherSquare = 0;
    for (int i = 0; i < one.length; i++) {
      product += (double) one[i] * other[i];
      square += (double) one[i] * one[i];
      otherSquare += (double) other[i] * other[i];
    }
    return product / Math.sqrt(square * otherSquare);
  }

  private static float[] array(List<Float> values) {
    float[] array = new float[values.size()];
    for (int i = 0; i < array.length; i++) {
      array[i] = values.get(i);
    }
    return array;
  }
}
