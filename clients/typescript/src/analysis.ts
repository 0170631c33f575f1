import type { Caller } from "./caller.js";
import { TextAnalysisService } from "./gen/trivium/v1/analysis_pb.js";
import { type ServiceClient, serviceClient } from "./service.js";

/** The methods of TextAnalysisService. */
export type AnalysisClient = ServiceClient<typeof TextAnalysisService>;

/** Returns the methods of a client's `analysis`. */
export function analysisClient(caller: Caller): AnalysisClient {
  return serviceClient(TextAnalysisService, caller);
}
