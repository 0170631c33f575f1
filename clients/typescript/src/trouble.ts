// Why a connection failed, read from the error codes of Node and the words of connect and of browsers. Pure.

import type { ConnectError } from "@connectrpc/connect";

/** What was wrong between both ends. isLasting: another attempt would meet the same. */
export interface ConnectTrouble {
  readonly message: string;
  readonly isLasting: boolean;
}

const UNTRUSTED: ReadonlySet<string> = new Set([
  "CERT_HAS_EXPIRED",
  "CERT_NOT_YET_VALID",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);

/** Codes of Node that say that the connection failed, and not the program. */
const LOST =
  /^(E(CONN\w+|PIPE|TIMEDOUT|HOSTUNREACH|NETUNREACH|ADDRNOTAVAIL|NOTFOUND|AI_\w+|PROTO)|ERR_(HTTP2|STREAM|SSL|TLS|SOCKET)_\w+)$/;

/** What this client's own HTTP/2 says of a stream that was reset, and of one whose connection was closed. */
export const RESET = "the stream was reset";
export const LOST_WITHOUT_STATUS = "the connection was closed before the call's status came";

/** How connect and browsers word a call whose connection died under it; measured when servers were killed. */
const LOST_WORDS = [
  RESET,
  LOST_WITHOUT_STATUS,
  "protocol error: missing status",
  "protocol error: missing trailer",
  "protocol error: incomplete envelope",
  "connection aborted",
  "PING timed out",
];

/** How servers and proxies word a connection that died behind them. */
const REPORTED_WORDS = ["RST_STREAM", "Stream removed"];

/**
 * Tells whether an error that this client's own transport made means that the connection, and not the call, failed.
 * Only for errors that carry no status of a server and whose call was not cancelled here.
 */
export function isConnectionLoss(error: ConnectError): boolean {
  return (
    nodeCodes(error).some((code) => LOST.test(code) || UNTRUSTED.has(code)) ||
    isFetchFailure(error) ||
    LOST_WORDS.some((words) => error.rawMessage.includes(words))
  );
}

/** Tells whether a server or proxy says of itself, with a status, that a connection behind it died. */
export function isReportedLoss(message: string): boolean {
  return REPORTED_WORDS.some((words) => message.includes(words));
}

/** What fetch throws for a connection that cannot be made or breaks. */
function isFetchFailure(error: ConnectError): boolean {
  return error.cause instanceof TypeError;
}

/** Returns what the error says about the connection to a target, undefined where it is nothing known. */
export function connectTrouble(error: ConnectError, target: string, isEncrypted: boolean): ConnectTrouble | undefined {
  const codes = nodeCodes(error);
  if (codes.includes("ECONNREFUSED") || codes.includes("ENOENT")) {
    return { message: `no server listens at ${target}; \`trivium serve\` starts one`, isLasting: false };
  }
  if (codes.includes("ENOTFOUND")) {
    return { message: `no machine has the name in ${target}`, isLasting: false };
  }
  if (codes.includes("ERR_SSL_WRONG_VERSION_NUMBER") || codes.includes("ERR_SSL_PACKET_LENGTH_TOO_LONG")) {
    return { message: "the server does not speak TLS; connect to it with tls: false", isLasting: true };
  }
  if (codes.includes("ERR_TLS_CERT_ALTNAME_INVALID")) {
    const advice = "connect by a name that it has, or give that as tls: { serverName }";
    return { message: `the server's certificate is for another name than the target's; ${advice}`, isLasting: true };
  }
  if (codes.some((code) => UNTRUSTED.has(code))) {
    const advice = "give the one that signed it as tls: { rootCertificates }";
    return { message: `the server's certificate is not signed by a trusted authority; ${advice}`, isLasting: true };
  }
  if (!isEncrypted && codes.includes("ERR_HTTP2_ERROR")) {
    const advice = "connect with tls: true if it speaks TLS";
    return { message: `the server does not answer in HTTP/2; ${advice}`, isLasting: false };
  }
  return undefined;
}

/** The `code` of an error and of what caused it. */
function nodeCodes(error: Error): string[] {
  const codes: string[] = [];
  let reason: unknown = error;
  while (reason instanceof Error && codes.length < 8) {
    codes.push("code" in reason && typeof reason.code === "string" ? reason.code : "");
    if (reason instanceof AggregateError) {
      codes.push(...reason.errors.flatMap((each) => (each instanceof Error ? nodeCodes(each) : [])));
    }
    reason = reason.cause;
  }
  return codes.filter((code) => code !== "");
}
