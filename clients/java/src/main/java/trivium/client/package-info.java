/**
 * The client of the Trivium inference service.
 *
 * <p>{@link trivium.client.TriviumClient} connects to a server; its groups, such as {@code text()},
 * have the methods of the contract. Requests and responses are the generated messages of {@code
 * trivium.v1} and {@code trivium.admin.v1}.
 */
package trivium.client;
