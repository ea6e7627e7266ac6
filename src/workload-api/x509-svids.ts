/** The current X.509-SVIDs of one caller's identities: one of each identity on this machine, shared with all that have it. */
import type { X509Svid } from "../ca/index.ts";
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import type { Entitlement } from "./registrations.ts";
import type { WorkloadApiOptions } from "./types.ts";

interface Held {
  svid?: X509Svid;
  stop: () => void;
}

export class CallersSvids {
  readonly #svids: WorkloadApiOptions["svids"];
  readonly #clock: Clock;
  readonly #onChange: () => void;
  readonly #held = new Map<string, Held>();
  /** Resolved at the next SVID. */
  #next = Promise.withResolvers<void>();

  /** `onChange` is called at each renewal. */
  constructor({ svids, clock }: Pick<WorkloadApiOptions, "svids" | "clock">, onChange: () => void) {
    this.#svids = svids;
    this.#clock = clock;
    this.#onChange = onChange;
  }

  /** In the order of the entitlements; those before that are not among them are let go. @throws WeftError "unavailable" after `limitMs`, or where one has expired */
  async of(entitlements: readonly Entitlement[], limitMs: number): Promise<readonly X509Svid[]> {
    const wanted = new Set(entitlements.map(({ spiffeId }) => spiffeId));
    for (const [id, { stop }] of this.#held) {
      if (wanted.has(id)) continue;
      stop();
      this.#held.delete(id);
    }
    for (const id of wanted) if (!this.#held.has(id)) this.#hold(id);
    const late = Promise.withResolvers<"late">();
    const cancel = this.#clock.after(limitMs, () => late.resolve("late"));
    try {
      for (;;) {
        const found = entitlements.flatMap(({ spiffeId }) => this.#held.get(spiffeId)?.svid ?? []);
        if (found.length === entitlements.length) return this.#valid(found);
        if ((await Promise.race([this.#next.promise, late.promise])) === "late")
          throw new WeftError("unavailable", "the CA does not sign at the moment: try again");
      }
    } finally {
      cancel();
    }
  }

  close(): void {
    for (const { stop } of this.#held.values()) stop();
    this.#held.clear();
  }

  #hold(id: string): void {
    const held: Held = { stop: () => {} };
    this.#held.set(id, held);
    held.stop = this.#svids.subscribe(id, (svid) => {
      held.svid = svid;
      this.#next.resolve();
      this.#next = Promise.withResolvers();
      this.#onChange();
    });
  }

  #valid(svids: readonly X509Svid[]): readonly X509Svid[] {
    const now = this.#clock.now();
    if (svids.every(({ notAfter }) => now < notAfter)) return svids;
    throw new WeftError("unavailable", "an SVID has expired, and the CA could not renew it: try again");
  }
}
