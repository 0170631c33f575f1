package trivium.client;

import java.util.ArrayList;
import java.util.List;
import trivium.v1.CompareTextsRequest;
import trivium.v1.CompareTextsResponse;
import trivium.v1.EmbedConfig;
import trivium.v1.EmbedItem;
import trivium.v1.EmbedRequest;
import trivium.v1.EmbedResponse;
import trivium.v1.EmbedResult;
import trivium.v1.EmbeddingServiceGrpc;
import trivium.v1.RerankRequest;
import trivium.v1.RerankResponse;
import trivium.v1.StreamEmbedRequest;
import trivium.v1.StreamEmbedResponse;
import trivium.v1.StreamEmbedSetup;
import trivium.v1.TextComparison;
import trivium.v1.VectorEncoding;

/**
 * Calls of EmbeddingService: texts as vectors, and texts ranked and compared by their meaning.
 * Thread-safe.
 */
public final class Embeddings {
  private final Calls calls;

  Embeddings(Calls calls) {
    this.calls = calls;
  }

  /**
   * Changes the settings of the calls.
   *
   * @param settings the settings, in place of those so far
   * @return the same calls with these settings
   */
  public Embeddings with(CallSettings settings) {
    return new Embeddings(calls.with(settings));
  }

  /**
   * Embeds texts.
   *
   * @param request what to send
   * @return the response
   * @throws TriviumException where the call failed, or this thread was interrupted
   */
  public EmbedResponse embed(EmbedRequest request) {
    return calls.send(EmbeddingServiceGrpc.getEmbedMethod(), request);
  }

  /**
   * Embeds texts, without waiting.
   *
   * @param request what to send
   * @return the response, once it is there
   */
  public ResponseFuture<EmbedResponse> embedAsync(EmbedRequest request) {
    return calls.sendAsync(EmbeddingServiceGrpc.getEmbedMethod(), request);
  }

  /**
   * Orders documents by how well each answers a query.
   *
   * @param request what to send
   * @return the response
   * @throws TriviumException where the call failed, or this thread was interrupted
   */
  public RerankResponse rerank(RerankRequest request) {
    return calls.send(EmbeddingServiceGrpc.getRerankMethod(), request);
  }

  /**
   * Orders documents by how well each answers a query, without waiting.
   *
   * @param request what to send
   * @return the response, once it is there
   */
  public ResponseFuture<RerankResponse> rerankAsync(RerankRequest request) {
    return calls.sendAsync(EmbeddingServiceGrpc.getRerankMethod(), request);
  }

  /**
   * Compares one text with others by the cosine of their vectors.
   *
   * @param request what to send
   * @return the response
   * @throws TriviumException where the call failed, or this thread was interrupted
   */
  public CompareTextsResponse compareTexts(CompareTextsRequest request) {
    return calls.send(EmbeddingServiceGrpc.getCompareTextsMethod(), request);
  }

  /**
   * Compares one text with others by the cosine of their vectors, without waiting.
   *
   * @param request what to send
   * @return the response, once it is there
   */
  public ResponseFuture<CompareTextsResponse> compareTextsAsync(CompareTextsRequest request) {
    return calls.sendAsync(EmbeddingServiceGrpc.getCompareTextsMethod(), request);
  }

  /**
   * Embeds texts with the model's own settings.
   *
   * @param model the name of the model
   * @param texts what to embed, 1 to 2048
   * @return one vector for each text, in their order, of length 1 unless the model says otherwise
   * @throws TriviumException where the call or one of the texts failed, or this thread was
   *     interrupted
   */
  public List<float[]> embed(String model, List<String> texts) {
    EmbedRequest.Builder request = EmbedRequest.newBuilder();
    request.setConfig(
        EmbedConfig.newBuilder()
            .setModel(model)
            .setEncoding(VectorEncoding.VECTOR_ENCODING_FLOAT32_BYTES));
    texts.forEach(text -> request.addItems(EmbedItem.newBuilder().setText(text)));
    EmbedResponse response = embed(request.build());
    List<float[]> vectors = new ArrayList<>();
    for (EmbedResult result : response.getResultsList()) {
      if (result.hasError()) {
        throw TriviumException.of(result.getError(), response.getInfo().getRequestId());
      }
      vectors.add(Vectors.of(result.getEmbedding()));
    }
    return vectors;
  }

  /**
   * Compares a text with others.
   *
   * @param model the name of the model
   * @param source the text
   * @param targets what to compare it with, 1 to 2048
   * @return the cosine of each, -1 to 1, in the order of the targets
   * @throws TriviumException where the call or one of the targets failed, or this thread was
   *     interrupted
   */
  public float[] compare(String model, String source, List<String> targets) {
    CompareTextsResponse response =
        compareTexts(
            CompareTextsRequest.newBuilder()
                .setModel(model)
                .setSource(source)
                .addAllTargets(targets)
                .build());
    float[] similarities = new float[response.getComparisonsCount()];
    for (TextComparison comparison : response.getComparisonsList()) {
      if (comparison.hasError()) {
        throw TriviumException.of(comparison.getError(), response.getInfo().getRequestId());
      }
      similarities[comparison.getIndex()] = comparison.getSimilarity();
    }
    return similarities;
  }

  /**
   * Embeds any number of texts while they are sent.
   *
   * @param config how to embed
   * @return the stream, to which the items are to be sent; to be closed
   */
  public DuplexStream<StreamEmbedRequest, StreamEmbedResponse> streamEmbed(EmbedConfig config) {
    DuplexStream<StreamEmbedRequest, StreamEmbedResponse> stream =
        calls.duplex(EmbeddingServiceGrpc.getStreamEmbedMethod());
    stream.begin(
        StreamEmbedRequest.newBuilder()
            .setSetup(StreamEmbedSetup.newBuilder().setConfig(config))
            .build());
    return stream;
  }
}
