// What the daemon tells while it works, as schemas: the messages of GET /api/v1/events, and what metrics count.

import { z } from 'zod';
import { deviceSchema, invocationSchema } from './schemas.ts';

/** A load that ended, well or not. */
export const loadEventSchema = z.object({
  type: z.literal('load'),
  at: z.string(),
  device: z.string(),
  sha256: z.string(),
  functions: z.array(z.string()),
  bytes: z.number(),
  loadMs: z.number(),
  /** Why the scheduler wanted it, in its own words (`miss-most-free`, `replica`, `requested`, ...). */
  reason: z.string(),
  /** True if the model was resident on another device when the load began. */
  falseMiss: z.boolean(),
  /** null if it worked. */
  errorCode: z.string().nullable(),
});

/** An eviction that is done: the device has its memory back. */
export const evictEventSchema = z.object({
  type: z.literal('evict'),
  at: z.string(),
  device: z.string(),
  sha256: z.string(),
  functions: z.array(z.string()),
  bytes: z.number(),
  reason: z.string(),
  /** Since the model's last use on that device. */
  ageMs: z.number(),
});

/** An invocation that ended. */
export const invocationEventSchema = z.object({ type: z.literal('invocation'), record: invocationSchema });

/** A device changed its state; `lost` counts as an event of its own in the metrics. */
export const deviceEventSchema = z.object({
  type: z.literal('device'),
  at: z.string(),
  device: deviceSchema.shape.id,
  state: z.string(),
  message: z.string(),
});

/** What functions there are changed. */
export const functionEventSchema = z.object({
  type: z.literal('function'),
  at: z.string(),
  function: z.string(),
  version: z.number(),
  change: z.enum(['deployed', 'removed', 'rolled-back', 'quarantined', 'released']),
});

/** One message of the event stream. */
export const platformEventSchema = z.discriminatedUnion('type', [
  loadEventSchema,
  evictEventSchema,
  invocationEventSchema,
  deviceEventSchema,
  functionEventSchema,
]);
export type PlatformEvent = z.infer<typeof platformEventSchema>;
