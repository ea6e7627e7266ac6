/** Whether weft does its work now, found out by doing it: the store takes a write, ADS answers a stream, the CA signs. */
import type { Health, HealthPart } from "../admin/control-plane.ts";
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";

/** What is said of a part that works. */
export type Said = Pick<HealthPart, "message" | "warnings">;

/** Rejects where the part does not work; what it resolves to is said of one that does, where there is something to say. */
export type Check = () => Promise<unknown>;

/** A part that takes longer counts as failed. */
const CHECK_LIMIT_MS = 3_000;
/** Answers are shared for this long, so that a caller of /healthz, who needs no token, cannot keep the disk busy. */
const SHARE_MS = 250;

const PARTS = ["store", "xds", "ca", "workload-api", "in-mesh", "presence"] as const satisfies readonly HealthPart["part"][];

export class HealthChecks {
  #checks: readonly (readonly [HealthPart["part"], Check])[];
  #clock: Clock;
  #onPart: (part: HealthPart) => void;
  #last: { readonly at: number; readonly health: Promise<Health> } | undefined;

  /** `onPart` is told each finding, for metrics. */
  constructor(checks: Readonly<Partial<Record<HealthPart["part"], Check>>>, clock: Clock, onPart: (part: HealthPart) => void = () => {}) {
    this.#onPart = onPart;
    this.#checks = PARTS.flatMap((part) => {
      const check = checks[part];
      return check ? [[part, check] as const] : [];
    });
    this.#clock = clock;
  }

  run(): Promise<Health> {
    const at = this.#clock.monotonic();
    if (!this.#last || at - this.#last.at > SHARE_MS) this.#last = { at, health: this.#runAll() };
    return this.#last.health;
  }

  async #runAll(): Promise<Health> {
    const parts = await Promise.all(this.#checks.map(([part, check]) => this.#runOne(part, check)));
    for (const part of parts) this.#onPart(part);
    return { ok: parts.every((part) => part.ok), parts };
  }

  async #runOne(part: HealthPart["part"], check: Check): Promise<HealthPart> {
    let cancel = () => {};
    const limit = new Promise<never>((_, reject) => {
      cancel = this.#clock.after(CHECK_LIMIT_MS, () => reject(new WeftError("unavailable", `no answer within ${CHECK_LIMIT_MS} ms`)));
    });
    try {
      const said = await Promise.race([check(), limit]);
      return { part, ok: true, ...(isSaid(said) ? said : { message: typeof said === "string" ? said : "ok" }) };
    } catch (reason) {
      return { part, ok: false, message: WeftError.from(reason).message };
    } finally {
      cancel();
    }
  }
}

function isSaid(said: unknown): said is Said {
  return typeof said === "object" && said !== null && "message" in said;
}
