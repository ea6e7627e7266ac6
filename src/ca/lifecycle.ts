/**
 * The authorities of a trust domain through their life: prepared ahead, published before use, activated when everybody trusts them, retired when
 * nothing under them is left. schedule.ts says what is next; this does it, in an order that a crash at any point leaves whole:
 *
 *     prepare    key file, then journal, then the bundle is told
 *     activate   journal, then it signs, then the old key is deleted
 *     retire     journal, then the bundle is told
 */
import { join } from "node:path";
import { WeftError } from "../lib/errors.ts";
import { sameTrust, trustBundle } from "./bundle.ts";
import type { KeyPair } from "./crypto.ts";
import { type Journal, type JournalEntry, keyName, writeJournal } from "./journal.ts";
import type { LifecycleOptions } from "./lifecycle-options.ts";
import { PROPAGATION_CHECK_MS, RETRY_FIRST_MS, RETRY_LONGEST_MS, WALL_CLOCK_CHECK_MS } from "./lifetimes.ts";
import { endOfNew, makeAuthority } from "./new-authority.ts";
import { mayActivate, type Waiting } from "./propagation.ts";
import { isUsable, nextStep, type RotationReason, type ScheduleInput, type Step } from "./schedule.ts";
import { readPublic, writeAtomically } from "./secret-file.ts";
import type { SvidType, TrustBundle } from "./types.ts";

export const SVID_TYPES: readonly SvidType[] = ["x509", "jwt"];

export class Lifecycle {
  readonly #options: LifecycleOptions;
  readonly #keys: Map<string, KeyPair>;
  readonly #listeners = new Set<(bundle: TrustBundle) => void>();
  readonly #openedAt: number;
  #journal: Journal;
  #bundle: TrustBundle;
  #waiting = new Map<SvidType, Waiting>();
  #lastLeafEnd = new Map<string, number>();
  #cancelTimer: (() => void) | undefined;
  #running: Promise<void> = Promise.resolve();
  #failures = 0;
  #closed = false;

  constructor(options: LifecycleOptions) {
    this.#options = options;
    this.#journal = options.journal;
    this.#keys = new Map(options.keys);
    this.#bundle = trustBundle(options.journal);
    this.#openedAt = options.clock.monotonic();
  }

  get journal(): Journal {
    return this.#journal;
  }

  get bundle(): TrustBundle {
    return this.#bundle;
  }

  /** Who is waited for now. */
  get waiting(): ReadonlyMap<SvidType, Waiting> {
    return this.#waiting;
  }

  onBundle(listener: (bundle: TrustBundle) => void): () => void {
    const own = (bundle: TrustBundle) => listener(bundle);
    this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  }

  /** The authority that signs now, or undefined where there is none that can. */
  signer(type: SvidType): { readonly entry: JournalEntry; readonly keys: KeyPair } | undefined {
    const entry = this.#journal.entries.find((one) => one.type === type && one.state === "active");
    const keys = entry && this.#keys.get(keyName(entry));
    return entry && keys && isUsable(entry, { now: this.#options.clock.now(), hasKey: () => true }) ? { entry, keys } : undefined;
  }

  /** An SVID was signed: its authority is trusted until `notAfter` at least, whatever the clock does meanwhile. */
  noteLeaf(entry: JournalEntry, notAfter: number): void {
    this.#lastLeafEnd.set(keyName(entry), Math.max(notAfter, this.#lastLeafEnd.get(keyName(entry)) ?? 0));
  }

  schedule(type: SvidType): ScheduleInput {
    const { clock, lifetimes, upstream } = this.#options;
    const now = clock.now();
    const entries = this.#journal.entries.filter((entry) => entry.type === type);
    const unread = type === "x509" && upstream !== undefined && !upstream.current;
    return {
      entries,
      rotation: this.#journal.rotations[type],
      now,
      lifetimes,
      hasKey: (entry) => this.#keys.has(keyName(entry)),
      // Files that cannot be read do not make what signs a wrong one; but nothing new can be signed.
      upstream: unread
        ? entries.find(({ state }) => state === "active")?.upstream
        : type === "x509"
          ? upstream?.current?.fingerprint
          : undefined,
      endOfNew: unread ? 0 : endOfNew(type, { now, lifetimes, upstream: upstream?.current }),
    };
  }

  /**
   * Replaces the authority as soon as everybody trusts a new one; where that was asked for before and is not done yet, it goes on: beginning anew
   * with each call would put it off for ever. On the disk when this resolves. @throws WeftError "unavailable"
   */
  async rotate(types: readonly SvidType[]): Promise<void> {
    await this.#exclusively(async () => {
      const { rotations } = this.#journal;
      const since = this.#options.clock.now();
      const fresh = types.filter((type) => rotations[type]?.reason !== "forced");
      if (fresh.length === 0) return;
      const asked = Object.fromEntries(fresh.map((type) => [type, { reason: "forced" as const, since }]));
      await this.#commit({ rotations: { ...rotations, ...asked } });
    });
    await this.run();
    // Where it runs by itself, the next look is now much sooner than it was.
    if (this.#cancelTimer) this.#arm(this.#pause());
  }

  /** Does every step that is due. @throws WeftError where one cannot be done; what is done stays done. */
  async run(): Promise<void> {
    await this.#exclusively(async () => {
      await this.#options.upstream?.refresh();
      for (const type of SVID_TYPES) while (await this.#step(type, nextStep(this.schedule(type))));
      await this.#writeBundleFile();
    });
  }

  /** From now on by itself, until closed. */
  start(): void {
    this.#arm(this.#pause());
  }

  close(): void {
    this.#closed = true;
    this.#cancelTimer?.();
    this.#listeners.clear();
    this.#keys.clear();
  }

  #exclusively(action: () => Promise<void>): Promise<void> {
    const result = this.#running.then(action);
    this.#running = result.catch(() => {});
    return result;
  }

  #arm(milliseconds: number): void {
    this.#cancelTimer?.();
    if (this.#closed) return;
    this.#cancelTimer = this.#options.clock.after(milliseconds, () => void this.#runByTimer());
  }

  async #runByTimer(): Promise<void> {
    let pause: number;
    try {
      await this.run();
      this.#failures = 0;
      pause = this.#pause();
    } catch (reason) {
      pause = Math.min(RETRY_LONGEST_MS, RETRY_FIRST_MS * 2 ** this.#failures++);
      if (!this.#closed) this.#options.observer.failed?.({ error: WeftError.from(reason), retryInMs: pause });
    }
    if (!this.#closed) this.#options.observer.looked?.();
    this.#arm(pause);
  }

  /** Until the next look: an operator's files, and the wall clock, give no notice. */
  #pause(): number {
    if (this.#waiting.size > 0) return PROPAGATION_CHECK_MS;
    const now = this.#options.clock.now();
    const untils = SVID_TYPES.map((type) => nextStep(this.schedule(type))).map((step) => (step.kind === "idle" ? step.until : now));
    return Math.min(WALL_CLOCK_CHECK_MS, Math.max(0, Math.min(...untils) - now));
  }

  /** True where something was done, and there may be more. */
  async #step(type: SvidType, step: Step): Promise<boolean> {
    if (step.kind !== "activate") this.#waiting.delete(type);
    if (this.#closed || step.kind === "idle") return false;
    if (step.kind === "prepare") await this.#prepare(type, step.reason);
    else if (step.kind === "retire") await this.#retire(step.entry);
    else return await this.#activate(step);
    return true;
  }

  async #prepare(type: SvidType, reason: RotationReason): Promise<void> {
    const { clock, lifetimes, vault, upstream, observer } = this.#options;
    const now = clock.now();
    const { trustDomain, entries, rotations } = this.#journal;
    const { entry, keyPem, keys } = await makeAuthority(type, { trustDomain, now, lifetimes, upstream: upstream?.current });
    await vault.write(keyName(entry), keyPem);
    const kept = entries.filter((one) => one.type !== type || one.state !== "prepared");
    // What was asked for stays asked for, with its time.
    const rotation = rotations[type]?.reason === "forced" ? rotations[type] : { reason, since: now };
    this.#keys.set(keyName(entry), keys);
    await this.#commit({ entries: [...kept, entry], rotations: { ...rotations, [type]: rotation } });
    observer.prepared?.({ type, id: entry.id, reason, notAfter: entry.notAfter });
  }

  async #activate({ entry, reason, wait }: Extract<Step, { kind: "activate" }>): Promise<boolean> {
    const { clock, observer, propagation, lifetimes } = this.#options;
    const { type, id, notAfter } = entry;
    const now = clock.now();
    let leftBehind: readonly string[] = [];
    if (wait) {
      const uptimeMs = this.#options.restarted ? clock.monotonic() - this.#openedAt : Number.POSITIVE_INFINITY;
      const verdict = mayActivate({
        entry,
        now,
        uptimeMs,
        lifetimes,
        latest: wait.latest,
        missing: propagation.missing(this.#bundle, type),
      });
      if ("waiting" in verdict) {
        const before = this.#waiting.get(type);
        this.#waiting.set(type, verdict.waiting);
        if (before?.names.join() !== verdict.waiting.names.join()) observer.waiting?.({ type, ...verdict.waiting });
        return false;
      }
      leftBehind = verdict.leftBehind;
    }
    this.#waiting.delete(type);
    const entries = this.#journal.entries.map((one): JournalEntry => {
      if (one === entry) return { ...one, state: "active", activatedAt: now };
      return one.type === type && one.state === "active" ? { ...one, state: "retiring", retireAt: this.#endOfLeaves(one, now) } : one;
    });
    await this.#commit({ entries, rotations: { ...this.#journal.rotations, [type]: undefined } });
    observer.activated?.({ type, id, reason, notAfter, leftBehind });
    return true;
  }

  /** When the last SVID under an authority that stops signing now has ended. None outlives it. */
  #endOfLeaves(entry: JournalEntry, now: number): number {
    const known = this.#lastLeafEnd.get(keyName(entry)) ?? 0;
    return Math.min(entry.notAfter, Math.max(now + entry.leafMs, known));
  }

  async #retire({ type, id }: JournalEntry): Promise<void> {
    await this.#commit({ entries: this.#journal.entries.filter((one) => one.type !== type || one.id !== id) });
    this.#options.observer.retired?.({ type, id });
  }

  /** Writes the journal, then takes over what it says. */
  async #commit(changes: Partial<Pick<Journal, "entries" | "rotations">>): Promise<void> {
    const { disk, dir, vault, clock } = this.#options;
    let next: Journal = { ...this.#journal, ...changes };
    const changed = !sameTrust(trustBundle(next), this.#bundle);
    // By the clock, so that it grows too where the data directory was lost; by one at least, whatever the clock does.
    if (changed) next = { ...next, sequence: Math.max(next.sequence + 1, Math.floor(clock.now() / 1_000)) };
    await writeJournal(disk, dir, next);
    this.#journal = next;
    const signing = new Set(next.entries.filter(({ state }) => state !== "retiring").map(keyName));
    for (const name of this.#keys.keys()) if (!signing.has(name)) this.#keys.delete(name);
    if (changed) {
      this.#bundle = trustBundle(next);
      for (const listener of [...this.#listeners]) listener(this.#bundle);
    }
    await vault.keepOnly(signing);
  }

  /** DATA/ca/ca.pem: the bundle, for whoever wants it as a file. */
  async #writeBundleFile(): Promise<void> {
    const { disk, dir } = this.#options;
    const path = join(dir, "ca.pem");
    if ((await readPublic(disk, path, "the trust bundle")) !== this.#bundle.x509Pem)
      await writeAtomically(disk, path, this.#bundle.x509Pem, 0o644);
  }
}
