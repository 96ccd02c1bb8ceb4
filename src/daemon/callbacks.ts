// Tells the answers of asynchronous calls to the addresses their callers gave. A few at a time, and fewer to one receiver, so that one
// that is dead holds up nobody else; each with a limit on its time and a few tries; redirects are not followed, and no answer of the
// receiver goes anywhere.

import { lookup as lookUp, type LookupAddress } from 'node:dns';
import { request as plainRequest } from 'node:http';
import { request as secureRequest } from 'node:https';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { systemClock } from '../clock.ts';
import { GpufaasError } from '../errors.ts';
import { FairQueue } from './fair-queue.ts';
import { pause } from './pause.ts';

/** What one callback carries. */
export interface CallbackMessage {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** A callback that is owed. */
export interface Callback {
  readonly url: string;
  /** Asked for when it is sent, so that what waits holds no body. */
  readonly message: () => Promise<CallbackMessage>;
  /** Called once, at the end; not if the daemon ends before. */
  readonly onEnd: (delivered: boolean, reason: string) => void;
}

export interface CallbackLimits {
  readonly atOnce: number;
  /** Of these, to one receiver. */
  readonly perReceiver: number;
  readonly tries: number;
  /** Before the second try; doubles each time. */
  readonly pauseMs: number;
  readonly timeoutMs: number;
}

const DEFAULTS: CallbackLimits = { atOnce: 8, perReceiver: 4, tries: 5, pauseMs: 1_000, timeoutMs: 10_000 };
const MAX_URL = 2_000;

/** Addresses that are nobody's web server: the cloud's own metadata above all, which trusts whoever can reach it. */
const FORBIDDEN = new BlockList();
FORBIDDEN.addSubnet('169.254.0.0', 16, 'ipv4');
FORBIDDEN.addSubnet('224.0.0.0', 4, 'ipv4');
FORBIDDEN.addSubnet('fe80::', 10, 'ipv6');
FORBIDDEN.addSubnet('ff00::', 8, 'ipv6');
FORBIDDEN.addAddress('fd00:ec2::254', 'ipv6');
FORBIDDEN.addAddress('100.100.100.200', 'ipv4');
// IPv4 addresses in IPv6's clothes, where the network translates them.
FORBIDDEN.addSubnet('64:ff9b::', 96, 'ipv6');

const isForbidden = (address: string): boolean => FORBIDDEN.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');

/** The address in its normal form. Throws BAD_REQUEST. */
export function checkCallbackUrl(text: string): string {
  const url = text.length <= MAX_URL && URL.canParse(text) ? new URL(text) : null;
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new GpufaasError('BAD_REQUEST', 'X-Callback-Url must be an http or https URL.');
  }
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) !== 0 && isForbidden(host)) {
    throw new GpufaasError('BAD_REQUEST', 'X-Callback-Url names an address that no callback is sent to.');
  }
  return url.href;
}

/** One that waits for its turn. */
interface Owed {
  readonly callback: Callback;
  readonly tries: number;
}

/** The callbacks that are owed. Its owner closes it. */
export class Callbacks {
  readonly #limits: CallbackLimits;
  readonly #waiting: FairQueue<Owed>;
  readonly #closed = new AbortController();

  constructor(limits: Partial<CallbackLimits> = {}) {
    this.#limits = { ...DEFAULTS, ...limits };
    this.#waiting = new FairQueue(this.#limits.atOnce, this.#limits.perReceiver);
  }

  /** Sends it when its turn comes. Bounded by what owes them: one for each call that is kept. */
  add(callback: Callback): void {
    this.#enqueue({ callback, tries: 0 });
  }

  /** Sends nothing more; what is owed stays owed. */
  close(): void {
    this.#closed.abort();
  }

  #enqueue(owed: Owed): void {
    this.#waiting.add(new URL(owed.callback.url).host, owed);
    this.#next();
  }

  #next(): void {
    while (!this.#closed.signal.aborted) {
      const next = this.#waiting.take();
      if (next === undefined) return;
      void this.#try(next.item.callback).then((result) => {
        this.#waiting.done(next.group);
        this.#conclude(next.item, result);
        this.#next();
      });
    }
  }

  /** Ends it, or lets it wait for its next try; meanwhile its place is another's. */
  #conclude({ callback, tries }: Owed, { reason, again }: Attempt): void {
    if (this.#closed.signal.aborted) return;
    if (!again || tries + 1 >= this.#limits.tries) return callback.onEnd(reason === null, reason ?? '');
    void pause(systemClock, this.#limits.pauseMs * 2 ** tries, this.#closed.signal).then(() => {
      if (!this.#closed.signal.aborted) this.#enqueue({ callback, tries: tries + 1 });
    });
  }

  async #try({ url, message }: Callback): Promise<Attempt> {
    let owed: CallbackMessage;
    try {
      owed = await message();
    } catch (error) {
      return { reason: reasonOf(error), again: false };
    }
    try {
      const status = await post(new URL(url), owed.headers, owed.body, this.#limits.timeoutMs, this.#closed.signal);
      if (status >= 200 && status < 300) return { reason: null, again: false };
      // What was understood and refused would be refused again.
      const again = status >= 500 || status === 408 || status === 429;
      return { reason: `the receiver answered ${status}`, again };
    } catch (error) {
      return { reason: reasonOf(error), again: true };
    }
  }
}

/** How one try went. */
interface Attempt {
  /** null if the callback was taken, else why not. */
  readonly reason: string | null;
  readonly again: boolean;
}

/** Sends one request and gives the status of its answer; whatever else the receiver says is not read. */
function post(
  url: URL,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? secureRequest : plainRequest;
    const outgoing = send(url, {
      method: 'POST',
      headers: { ...headers, 'content-length': body.byteLength, 'user-agent': 'gpufaas' },
      agent: false,
      lookup: lookUpAllowed,
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    });
    // Stays for as long as the connection does: it may break after the answer, too.
    outgoing.on('error', reject);
    outgoing.on('response', (incoming) => {
      incoming.on('error', () => undefined);
      resolve(incoming.statusCode ?? 0);
      incoming.destroy();
    });
    outgoing.end(body);
  });
}

/** The system's own look-up without the addresses that are forbidden, whatever name leads to them. */
const lookUpAllowed: LookupFunction = (hostname, options, callback) => {
  lookUp(hostname, { ...options, all: true }, (error, found: readonly LookupAddress[]) => {
    if (error !== null) return callback(error, '');
    const allowed = found.filter(({ address }) => !isForbidden(address));
    const [first] = allowed;
    if (first === undefined) return callback(new Error('its address is one that no callback is sent to'), '');
    if (options.all === true) return callback(null, [...allowed]);
    callback(null, first.address, first.family);
  });
};

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
