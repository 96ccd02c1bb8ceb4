// What every surface of the gateway shares: the daemon, the settings, the bounds. Made once by server.ts.

import type {} from 'fastify';
import type { Logger } from 'pino';
import type { BodyBudget } from './body.ts';
import type { InferenceStatistics } from './inference-statistics.ts';
import type { JsonPool } from './json-pool.ts';
import type { RepeatedAnswers } from './open-inference/repeated-answer.ts';
import type { RepeatedHeaders } from './open-inference/repeated-header.ts';
import type { Platform } from './platform.ts';
import type { RepeatedRequests } from './repeated-requests.ts';

/** Settings of one gateway, all with defaults but the first three. */
export interface GatewaySettings {
  /** The secret of GPUFAAS_HOME. */
  readonly token: string;
  /** The address it will be bound to: decides whether calls need the token. */
  readonly host: string;
  readonly log: Logger;
  /** The daemon's monotonic clock, in milliseconds: arrivals are told by it. */
  readonly now: () => number;
  /** Names besides the bound one that clients may use in the Host header. */
  readonly allowedHosts: readonly string[];
  /** A body may take this long before its rate is looked at. */
  readonly bodyGraceMs: number;
  /** After that it must have come at this rate on average, or 408. */
  readonly bodyMinBytesPerSecond: number;
  /** Bytes of request bodies in memory at once, all callers together; more is 429. */
  readonly maxBufferedBytes: number;
  /** The largest package that may be uploaded. */
  readonly maxUploadBytes: number;
  /** JSON larger than this is parsed, and written, on another thread. */
  readonly jsonThreadBytes: number;
  readonly jsonThreads: number;
  /** Event streams open at once. */
  readonly maxEventStreams: number;
}

/** What a surface is given. */
export interface GatewayContext {
  readonly platform: Platform;
  readonly settings: GatewaySettings;
  readonly json: JsonPool;
  readonly headers: RepeatedHeaders;
  readonly answers: RepeatedAnswers;
  readonly requests: RepeatedRequests;
  readonly budget: BodyBudget;
  readonly statistics: InferenceStatistics;
}

/** Who may use a route: `call` is free on loopback, `read` too, `change` always needs the token, `open` never does. */
export type Access = 'call' | 'read' | 'change' | 'open';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Absent: `change`, so that a route nobody thought about is closed. */
    access?: Access;
  }
}
