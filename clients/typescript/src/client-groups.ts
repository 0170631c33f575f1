// The methods of a client, in groups. The same in Node and in browsers.

import { type AnalysisClient, analysisClient } from "./analysis.js";
import { Caller, type Connection } from "./caller.js";
import { type EmbeddingsClient, embeddingsClient } from "./embeddings.js";
import { Health } from "./gen/grpc/health/v1/health_pb.js";
import { AdminService } from "./gen/trivium/admin/v1/admin_pb.js";
import { ModelService } from "./gen/trivium/v1/models_pb.js";
import { type ServiceClient, serviceClient } from "./service.js";
import type { Settings } from "./settings.js";
import { type SpeechClient, speechClient } from "./speech.js";
import { type TextClient, textClient } from "./text.js";
import { type VisionClient, visionClient } from "./vision.js";

/**
 * What the clients for Node and for browsers have in common: every method of the contract, and short forms beside them.
 *
 * A client is meant to be made once and shared: its calls run side by side over one connection.
 */
export abstract class ClientGroups {
  /** Generates text, and counts tokens. */
  readonly text: TextClient;
  /** Turns texts into vectors; ranks and compares texts. */
  readonly embeddings: EmbeddingsClient;
  /** Classifies texts, finds names in them, tells languages apart. */
  readonly analysis: AnalysisClient;
  /** Looks at images. */
  readonly vision: VisionClient;
  /** Writes down speech, and speaks. */
  readonly speech: SpeechClient;
  /** Which models the server has, and in which state. */
  readonly models: ServiceClient<typeof ModelService>;
  /** Operates the server. */
  readonly admin: ServiceClient<typeof AdminService>;
  /** Whether the server, a service or `model/NAME` answers. */
  readonly health: ServiceClient<typeof Health>;
  readonly #caller: Caller;

  protected constructor(settings: Settings, connection: Connection) {
    const caller = new Caller(settings, connection);
    this.#caller = caller;
    this.text = textClient(caller);
    this.embeddings = embeddingsClient(caller);
    this.analysis = analysisClient(caller);
    this.vision = visionClient(caller);
    this.speech = speechClient(caller);
    this.models = serviceClient(ModelService, caller);
    this.admin = serviceClient(AdminService, caller);
    this.health = serviceClient(Health, caller);
  }

  /** Closes the connection. Calls that run, or come later, fail with kind `cancelled`. May be called twice. */
  close(): void {
    this.#caller.close();
  }
}
