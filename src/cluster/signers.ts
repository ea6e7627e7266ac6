/**
 * The authorities as a node asks them: one after another, in an order of its own, those that did not answer lately last. One that refuses has spoken for
 * all; one that cannot answer has not.
 */
import type { TrustBundle } from "../ca/index.ts";
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import type { CallParts } from "./client.ts";
import { verifiedNode } from "./peer.ts";
import { isAnswer } from "./rpc-errors.ts";
import { NodeSession } from "./session.ts";

export interface AuthorityPlace {
  readonly node: string;
  /** HOST:PORT. */
  readonly address: string;
}

export interface SignersOptions {
  /** Those that sign now. */
  readonly places: () => readonly AuthorityPlace[];
  /** The node's own, PEM. */
  readonly certificate: () => { readonly chain: string; readonly key: string } | undefined;
  readonly bundle: () => TrustBundle;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** First wait before one that did not answer is asked again, doubled each time up to the longest; shortened at random by up to half. */
const RETRY_FIRST_MS = 500;
const RETRY_LONGEST_MS = 15_000;
/** Calls at once: below the streams that an authority gives a connection, so that none waits in a place that nobody watches. */
const CALLS_AT_ONCE = 32;

interface Known {
  readonly session: NodeSession;
  failures: number;
  /** On the monotonic clock. */
  notBefore: number;
}

export class Signers {
  readonly #options: SignersOptions;
  /** By node and address. */
  readonly #known = new Map<string, Known>();
  /** This node's own preference, so that a mesh's nodes are spread over its authorities. */
  readonly #salt: number;
  #calls = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(options: SignersOptions) {
    this.#options = options;
    this.#salt = options.random();
  }

  /** @throws WeftError of the authority that answered; "unavailable" where none could */
  async ask<Answer>(call: (parts: CallParts) => Promise<Answer>): Promise<Answer> {
    await this.#turn();
    try {
      return await this.#ask(call);
    } finally {
      this.#calls -= 1;
      this.#waiting.shift()?.();
    }
  }

  /** The node's certificate is another one: what is asked from now on is asked with it. */
  renewed(): void {
    for (const { session } of this.#known.values()) session.renew();
  }

  close(): void {
    for (const { session } of this.#known.values()) session.close();
    this.#known.clear();
  }

  async #turn(): Promise<void> {
    while (this.#calls >= CALLS_AT_ONCE) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#calls += 1;
  }

  async #ask<Answer>(call: (parts: CallParts) => Promise<Answer>): Promise<Answer> {
    const { clock } = this.#options;
    const failures: string[] = [];
    for (const { place, known } of this.#inOrder()) {
      if (known.notBefore > clock.monotonic()) {
        failures.push(`${place.node} did not answer a moment ago`);
        continue;
      }
      const error = await this.#try(place, known, call);
      if (!(error instanceof WeftError)) return error.answer;
      failures.push(error.message);
    }
    const none = this.#options.places().length === 0 ? "the mesh has none that signs" : failures.join("; ");
    throw new WeftError("unavailable", `no authority could be asked: ${none}`, {
      help: "SVIDs that were issued go on until they end; weft nodes lists the authorities",
    });
  }

  /** @returns its answer, or why it could not. @throws WeftError where it refused */
  async #try<Answer>(
    place: AuthorityPlace,
    known: Known,
    call: (parts: CallParts) => Promise<Answer>,
  ): Promise<{ readonly answer: Answer } | WeftError> {
    const { clock, random } = this.#options;
    const { session } = known;
    for (let tries = 1; ; tries++) {
      const wasOpen = session.isJudged;
      try {
        const answer = await call({ session, clock, peer: `authority ${place.node}` });
        known.failures = 0;
        return { answer };
      } catch (reason) {
        const error = WeftError.from(reason);
        // It has answered; where it cannot tell, or this side does not trust it, another may do.
        if (isAnswer(error) && error.code !== "unavailable") throw error;
        // A connection that stood for a while may have ended just now: that says nothing of the authority.
        if (!isAnswer(error) && wasOpen && tries === 1) continue;
        const longest = Math.min(RETRY_LONGEST_MS, RETRY_FIRST_MS * 2 ** known.failures++);
        known.notBefore = clock.monotonic() + longest * (1 - random() / 2);
        return error;
      }
    }
  }

  #inOrder(): readonly { readonly place: AuthorityPlace; readonly known: Known }[] {
    const places = [...this.#options.places()].sort((a, b) => (a.node < b.node ? -1 : 1));
    this.#forgetOthers(places);
    const first = Math.floor(this.#salt * places.length);
    const turned = [...places.slice(first), ...places.slice(0, first)].map((place) => ({ place, known: this.#at(place) }));
    return turned.sort((a, b) => a.known.failures - b.known.failures);
  }

  #at(place: AuthorityPlace): Known {
    const found = this.#known.get(keyOf(place));
    if (found) return found;
    const { certificate, bundle, clock } = this.#options;
    const session = new NodeSession({
      address: place.address,
      certificate,
      judge: (presented) => {
        const { node } = verifiedNode(presented, bundle(), clock.now());
        if (node !== place.node) throw new WeftError("unavailable", `node ${node} answers where authority ${place.node} should`);
      },
      clock,
    });
    const known = { session, failures: 0, notBefore: Number.NEGATIVE_INFINITY };
    this.#known.set(keyOf(place), known);
    return known;
  }

  #forgetOthers(places: readonly AuthorityPlace[]): void {
    const wanted = new Set(places.map(keyOf));
    for (const [key, { session }] of [...this.#known]) {
      if (wanted.has(key)) continue;
      session.close();
      this.#known.delete(key);
    }
  }
}

const keyOf = ({ node, address }: AuthorityPlace) => `${node} ${address}`;
