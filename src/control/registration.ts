/**
 * Instances of WorkloadGroups that register themselves (Istio, pilot/pkg/autoregistration/controller.go): a WorkloadEntry is made when an
 * instance's proxy connects, and removed when it has been away for a while. An entry belongs to its group by its annotation; those that a
 * person wrote have none, and are never touched.
 *
 * Who is connected is known in memory only: a stream that comes and goes makes no revision. After a restart of weft every entry of this node has
 * the same while to be claimed again.
 */
import type { ProxyIdentity, SnapshotSource } from "../ads/types.ts";
import type { Registered, WorkloadIdentity } from "../ca/index.ts";
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import { groupOf } from "../mesh/readiness.ts";
import { listChange } from "../mesh/resource-set.ts";
import { keyOf } from "../mesh/selection.ts";
import type { Workload } from "../mesh/types.ts";
import { resourceFromStored } from "../model/index.ts";
import type { AnyResource, Resource } from "../model/resource.ts";
import type { Store } from "../store/store.ts";
import type { Reconciler } from "./reconciler.ts";
import { isAbandoned, isOurs, type NodeView, ownerOf, SWEEP_MS } from "./registration-nodes.ts";
import { checkPlace, entryOf, grant, type RegistrationRequest, type WorkloadGroup, workloadKey } from "./registration-request.ts";
import type { WorkloadHealthKeeper } from "./workload-health.ts";

/** How soon a write is tried again that the store did not take. */
const RETRY_MS = 10_000;

/** How often a write is tried that others' writes come before. */
const TRIES = 3;

/** An entry outlives its instance's last stream for as long as presence.awayMs says: 10 s (Istio's PILOT_WORKLOAD_ENTRY_GRACE_PERIOD), or more. */
export interface RegistrationOptions extends NodeView {
  readonly store: Pick<Store, "apply" | "get">;
  readonly reconciler: Pick<Reconciler, "resource" | "of" | "reached">;
  readonly health: Pick<WorkloadHealthKeeper, "forget">;
  readonly clock: Clock;
  /** From 0 up to 1. */
  readonly random: () => number;
  readonly log: { info(message: string): void; warning(message: string): void };
}

type WorkloadEntry = Resource<"WorkloadEntry">;

interface Session {
  readonly namespace: string;
  readonly registered: Registered;
  streams: number;
  /** The group that its entry was made from. */
  group: WorkloadGroup | undefined;
}

export class Registrations {
  readonly #options: RegistrationOptions;
  /** By workload key: the instances whose proxies are connected. */
  readonly #sessions = new Map<string, Session>();
  /** By workload key: the end of the wait for an instance that is away. */
  readonly #waits = new Map<string, () => void>();
  /** By workload key: which instance registered last. */
  readonly #instances = new Map<string, string>();
  #entries: readonly WorkloadEntry[] = [];
  /** By workload key: the group of each entry of this node's that is a group's. */
  readonly #owned = new Map<string, string>();
  readonly #admitted = new WeakMap<ProxyIdentity, { readonly namespace: string; readonly registered: Registered }>();
  /** By what is written ("remove ns/name"): the end of the wait for another try. */
  readonly #retries = new Map<string, () => void>();
  /** By what is written: what is not begun yet. */
  readonly #asked = new Map<string, () => Promise<void>>();
  #writing: Promise<void> = Promise.resolve();
  readonly #startedAt: number;
  #cancelSweep = () => {};
  #closed = false;

  constructor(options: RegistrationOptions) {
    this.#options = options;
    this.#startedAt = options.clock.monotonic();
    this.#sweepLater();
  }

  /** The group of that name. @throws WeftError "not_found" */
  group({ namespace, name }: RegistrationRequest["group"]): WorkloadGroup {
    const found = this.#options.reconciler.resource(`WorkloadGroup/${namespace}/${name}`);
    if (found?.kind === "WorkloadGroup") return found;
    throw new WeftError("not_found", `there is no WorkloadGroup ${namespace}/${name}`, {
      help: `weft get workloadgroups -n ${namespace} lists what there is`,
    });
  }

  /** What the instance is to be, if it may; nothing is stored before its proxy connects. @throws WeftError with the reason */
  register(request: RegistrationRequest): {
    readonly workload: WorkloadIdentity & { readonly registered: Registered };
    readonly group: WorkloadGroup;
  } {
    const group = this.group(request.group);
    const registered = grant(group, request);
    this.#checkPlace(group, registered);
    const { namespace } = group.metadata;
    const key = workloadKey(namespace, registered);
    // What was said of the instance before is not true of this one.
    if (this.#instances.get(key) !== registered.instance) this.#options.health.forget(key);
    this.#instances.set(key, registered.instance);
    return { workload: { namespace, name: key.slice(namespace.length + 1), registered }, group };
  }

  /** Who a stream is, if it may be. @throws WeftError with the reason, which Envoy logs */
  async admit({ namespace, name, registered, expiresAt }: WorkloadIdentity & { readonly expiresAt?: number }): Promise<ProxyIdentity> {
    const proxy: ProxyIdentity = { id: `${namespace}/${name}`, ...(expiresAt === undefined ? {} : { expiresAt }) };
    if (!registered) return proxy;
    // Before the first load nobody can be judged.
    await this.#options.reconciler.reached(0);
    this.#checkPlace(this.group({ namespace, name: registered.group }), registered);
    this.#admitted.set(proxy, { namespace, registered });
    return proxy;
  }

  /** `source`, told to nobody but the instances that are registered for as long as they subscribe. */
  watching(source: SnapshotSource): SnapshotSource {
    return {
      subscribe: (...subscription) => {
        const left = this.#arrived(subscription[0]);
        const stop = source.subscribe(...subscription);
        return () => {
          stop();
          left();
        };
      },
    };
  }

  /** Whether the proxy may have what the workload of its name gets: not where that is another's by now, with another identity perhaps. */
  serves(proxy: ProxyIdentity, workload: Workload): boolean {
    const admitted = this.#admitted.get(proxy);
    if (!admitted) return true;
    const { namespace, registered } = admitted;
    return workload.group === `${namespace}/${registered.group}` && workload.serviceAccount === registered.serviceAccount;
  }

  /** To be called whenever the resources have changed. */
  follow(): void {
    const { reconciler } = this.#options;
    const resource = (key: string) => reconciler.resource(key);
    this.#followEntries(reconciler.of("WorkloadEntry"));
    for (const [key, owner] of this.#owned) {
      if (!resource(`WorkloadGroup/${owner}`)) this.#remove(key, owner, `WorkloadGroup ${owner} is gone`);
      else if (!this.#sessions.has(key) && !this.#waits.has(key)) this.#await(key, owner);
    }
    for (const [key, session] of this.#sessions) {
      const group = resource(`WorkloadGroup/${session.namespace}/${session.registered.group}`);
      // A group that comes, or changes, holds for those that are connected too.
      if (group !== session.group) {
        session.group = group?.kind === "WorkloadGroup" ? group : undefined;
        this.#make(key, session);
      }
    }
  }

  #followEntries(entries: readonly WorkloadEntry[]): void {
    const { gone, added } = listChange(this.#entries, entries);
    this.#entries = entries;
    for (const entry of gone) this.#owned.delete(keyOf(entry));
    for (const entry of added) {
      const owner = groupOf(entry);
      if (owner !== undefined && isOurs(entry, this.#options)) this.#owned.set(keyOf(entry), owner);
    }
  }

  /** Deletes what nodes have left that are gone for good. */
  #sweepLater(): void {
    const { clock, random, reconciler } = this.#options;
    this.#cancelSweep = clock.after(SWEEP_MS * (1 + random() / 2), () => {
      for (const entry of reconciler.of("WorkloadEntry")) {
        const owner = groupOf(entry);
        if (owner === undefined || isOurs(entry, this.#options) || !this.#isAbandoned(entry)) continue;
        this.#remove(keyOf(entry), owner, "its node has been gone for a day");
      }
      this.#sweepLater();
    });
  }

  #isAbandoned(entry: Pick<AnyResource, "metadata">): boolean {
    return isAbandoned(entry, this.#options, this.#options.clock.monotonic() - this.#startedAt);
  }

  /** Stops all waits: the streams that end from now on end with weft. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelSweep();
    for (const cancel of [...this.#waits.values(), ...this.#retries.values()]) cancel();
    this.#waits.clear();
    await this.#writing;
  }

  #checkPlace(group: WorkloadGroup, registered: Registered): void {
    checkPlace(group, registered, {
      entries: this.#options.reconciler.of("WorkloadEntry"),
      liveAt: (key) => this.#sessions.get(key)?.registered,
    });
  }

  #arrived(proxy: ProxyIdentity): () => void {
    const admitted = this.#admitted.get(proxy);
    if (!admitted) return () => {};
    const key = proxy.id;
    const known = this.#sessions.get(key);
    const session: Session = known ?? { ...admitted, streams: 0, group: undefined };
    session.streams += 1;
    this.#waits.get(key)?.();
    this.#waits.delete(key);
    if (!known) {
      this.#sessions.set(key, session);
      session.group = this.#groupOf(session);
      this.#make(key, session);
    }
    return () => {
      session.streams -= 1;
      if (session.streams > 0) return;
      this.#sessions.delete(key);
      this.#await(key, `${session.namespace}/${session.registered.group}`);
    };
  }

  #groupOf({ namespace, registered }: Session): WorkloadGroup | undefined {
    const found = this.#options.reconciler.resource(`WorkloadGroup/${namespace}/${registered.group}`);
    return found?.kind === "WorkloadGroup" ? found : undefined;
  }

  #await(key: string, owner: string): void {
    if (this.#closed) return;
    const awayMs = this.#options.presence.awayMs(key);
    const cancel = this.#options.clock.after(awayMs, () => {
      this.#waits.delete(key);
      this.#remove(key, owner, `its proxy has been away for ${awayMs / 1_000} s`);
    });
    this.#waits.set(key, cancel);
  }

  #make(key: string, session: Session): void {
    this.#write("make", key, async () => {
      const { store, log } = this.#options;
      const { group } = session;
      if (!group || this.#sessions.get(key) !== session) return;
      const id = idOf(key);
      const found = await store.get(id);
      if (found && ownerOf(found) !== `${session.namespace}/${session.registered.group}`) {
        log.warning(`${key} is connected, but there is a WorkloadEntry of that name which its group did not register: it gets nothing`);
        return;
      }
      const put = { ...id, ...entryOf(group, session.registered, this.#options.node), expect: found?.revision ?? ("absent" as const) };
      const { revision, changes } = await store.apply({ puts: [put], deletes: [], who: whoOf(session) });
      await this.#options.reconciler.reached(revision);
      if (changes.some(({ action }) => action === "created")) log.info(`${key} has registered with ${whoOf(session)}`);
    });
  }

  #remove(key: string, owner: string, reason: string): void {
    this.#write("remove", key, async () => {
      const { store, health, log } = this.#options;
      const isWanted = () => this.#sessions.has(key) && this.#options.reconciler.resource(`WorkloadGroup/${owner}`) !== undefined;
      if (isWanted()) return;
      const id = idOf(key);
      const found = await store.get(id);
      if (!found || ownerOf(found) !== owner || isWanted()) return;
      // Its instance may have registered with another node meanwhile.
      const entry = resourceFromStored(found);
      if (!isOurs(entry, this.#options) && !this.#isAbandoned(entry)) return;
      const { revision } = await store.apply({
        puts: [],
        deletes: [{ ...id, expect: found.revision }],
        who: `registration of WorkloadGroup ${owner}`,
      });
      health.forget(key);
      this.#instances.delete(key);
      await this.#options.reconciler.reached(revision);
      log.info(`${key} is registered no longer: ${reason}`);
    });
  }

  /**
   * One write after another. What fails because another came first is tried again; what fails otherwise, after the next while. A write looks at how
   * things are when its turn comes, so of those of one entry the last is enough: a store may be away for hours, and each build asks for what is missing.
   */
  #write(what: "make" | "remove", key: string, write: () => Promise<void>): void {
    const id = `${what} ${key}`;
    // Who came waits for nothing; who is gone may.
    if (this.#closed || (what === "remove" && this.#retries.has(id))) return;
    this.#retries.get(id)?.();
    this.#retries.delete(id);
    const isAsked = this.#asked.has(id);
    this.#asked.set(id, write);
    if (!isAsked) this.#writing = this.#writing.then(() => this.#try(what, key));
  }

  async #try(what: "make" | "remove", key: string): Promise<void> {
    const id = `${what} ${key}`;
    const write = this.#asked.get(id);
    this.#asked.delete(id);
    for (let tries = 1; write && !this.#closed; tries++) {
      try {
        return await write();
      } catch (reason) {
        const { code, message } = WeftError.from(reason);
        if ((code === "conflict" || code === "not_found") && tries < TRIES) continue;
        // Where it was asked for again meanwhile, that is the next try.
        if (this.#closed || this.#asked.has(id)) return;
        this.#options.log.warning(`the registration of ${key} could not be stored (${message}); trying again in ${RETRY_MS / 1_000} s`);
        const cancel = this.#options.clock.after(RETRY_MS, () => {
          this.#retries.delete(id);
          this.#write(what, key, write);
        });
        this.#retries.set(id, cancel);
        return;
      }
    }
  }
}

const whoOf = ({ namespace, registered }: Session) => `WorkloadGroup ${namespace}/${registered.group}`;

function idOf(key: string) {
  const [namespace = "", name = ""] = key.split("/");
  return { kind: "WorkloadEntry", namespace, name };
}
