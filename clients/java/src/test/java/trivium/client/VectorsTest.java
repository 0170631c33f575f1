package trivium.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import trivium.v1.Embedding;
import trivium.v1.FloatVector;
import trivium.v1.PackedVector;
import trivium.v1.SparseVector;
import trivium.v1.VectorEncoding;

class VectorsTest {
  @Test
  void everyEncodingIsRead() {
    Embedding list =
        Embedding.newBuilder()
            .setDense(FloatVector.newBuilder().addValues(0.25f).addValues(-1))
            .build();
    assertArrayEquals(new float[] {0.25f, -1}, Vectors.of(list));
    ByteBuffer floats = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
    floats.putFloat(0.1f).putFloat(-3.5f);
    assertArrayEquals(
        new float[] {0.1f, -3.5f},
        Vectors.unpack(
            packed(VectorEncoding.VECTOR_ENCODING_FLOAT32_BYTES, 2, floats.array()).build()));
    assertArrayEquals(
        new float[] {1, -2},
        Vectors.unpack(
            packed(
                    VectorEncoding.VECTOR_ENCODING_FLOAT16_BYTES,
                    2,
                    new byte[] {0, 0x3c, 0, (byte) 0xc0})
                .build()));
    assertArrayEquals(
        new float[] {63.5f, -63.5f},
        Vectors.unpack(
            packed(VectorEncoding.VECTOR_ENCODING_INT8_BYTES, 2, new byte[] {127, -127})
                .setScale(0.5f)
                .build()));
    byte[] bits = {(byte) 0b10100000, (byte) 0b10000000};
    assertArrayEquals(
        new float[] {1, -1, 1, -1, -1, -1, -1, -1, 1},
        Vectors.unpack(packed(VectorEncoding.VECTOR_ENCODING_BINARY_BYTES, 9, bits).build()));
  }

  @ParameterizedTest
  @CsvSource({
    "0, 0",
    "0001, 5.9604645e-8",
    "03ff, 6.0975552e-5",
    "0400, 6.1035156e-5",
    "3555, 0.33325195",
    "7bff, 65504",
    "fc00, -Infinity",
  })
  void halfFloats(String bits, float value) {
    assertEquals(value, Vectors.half((short) Integer.parseInt(bits, 16)));
  }

  @Test
  void notANumberStaysOne() {
    assertTrue(Float.isNaN(Vectors.half((short) 0x7e00)));
  }

  @Test
  void whatIsNoDenseVectorIsRefused() {
    Embedding sparse = Embedding.newBuilder().setSparse(SparseVector.getDefaultInstance()).build();
    assertThrows(IllegalArgumentException.class, () -> Vectors.of(sparse));
    PackedVector shortened =
        packed(VectorEncoding.VECTOR_ENCODING_FLOAT32_BYTES, 2, new byte[7]).build();
    assertThrows(IllegalArgumentException.class, () -> Vectors.unpack(shortened));
    PackedVector unknown = packed(null, 1, new byte[8]).setEncodingValue(77).build();
    assertThrows(IllegalArgumentException.class, () -> Vectors.unpack(unknown));
  }

  @Test
  void cosineOfTheAngle() {
    assertEquals(1, Vectors.cosine(new float[] {1, 2}, new float[] {2, 4}), 1e-12);
    assertEquals(0, Vectors.cosine(new float[] {1, 0}, new float[] {0, 5}), 1e-12);
    assertEquals(-1, Vectors.cosine(new float[] {1, 1}, new float[] {-3, -3}), 1e-12);
    assertThrows(IllegalArgumentException.class, () -> Vectors.cosine(new float[1], new float[2]));
  }

  private static PackedVector.Builder packed(VectorEncoding encoding, int dimensions, byte[] data) {
    PackedVector.Builder vector =
        PackedVector.newBuilder().setDimensions(dimensions).setData(ByteString.copyFrom(data));
    return encoding == null ? vector : vector.setEncoding(encoding);
  }
}
