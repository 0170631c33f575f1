// What the suite says to a runner, and what it wants to hear; see tests/conformance/README.md.

/** The metadata of a case: text, or base64 under a key that ends in -bin. */
export type CaseMetadata = Readonly<Record<string, string>>;

export interface Case {
  readonly case: string;
  readonly client: {
    readonly target: string;
    readonly token?: string;
    readonly timeout_s?: number;
    readonly idle_timeout_s?: number;
    readonly max_attempts?: number;
    readonly metadata?: CaseMetadata;
    readonly tls?:
      | boolean
      | {
          readonly root_certificates?: string;
          readonly certificate?: string;
          readonly private_key?: string;
          readonly server_name?: string;
        };
  };
  readonly call: {
    readonly method: string;
    readonly requests: readonly string[];
    readonly timeout_s?: number;
    readonly idle_timeout_s?: number;
    readonly request_id?: string;
    readonly metadata?: CaseMetadata;
  };
  readonly act?: {
    readonly cancel_before?: boolean;
    readonly cancel_after_s?: number;
    readonly cancel_after_messages?: number;
    readonly stop_after_messages?: number;
    readonly read_pause_s?: number;
    readonly half_close?: "on_go_away";
  };
}

export interface ErrorAnswer {
  readonly kind: string | null;
  readonly code: string;
  readonly reason: string | null;
  readonly message: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly field_violations: readonly { readonly field: string; readonly description: string }[];
  readonly retry_after_s: number | null;
  readonly request_id: string | null;
  readonly usage: string | null;
}

export interface Answer {
  readonly case: string;
  readonly ok: boolean;
  readonly responses: readonly string[];
  readonly error: ErrorAnswer | null;
  readonly text: string | null;
  readonly request_id: string | null;
  readonly elapsed_s: number;
}
