package trivium.client;

/**
 * A field of the request that the server refused.
 *
 * @param field the path of the field, for example {@code input.sampling.top_p}
 * @param description what is wrong with it, with the limit
 */
public record FieldViolation(String field, String description) {}
