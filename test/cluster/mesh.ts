/** Several whole wefts in the test's process that share a store, each on a data directory of its own, with real TLS between them. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { joinNode } from "../../src/control/join-node.ts";
import { type StartOptions, startWeft } from "../../src/control/start.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { WeftError } from "../../src/lib/errors.ts";
import { openReplica } from "../../src/store/replica/index.ts";
import type { Board } from "../../src/store/shared/board.ts";
import { MemoryEngine } from "../store/memory-log.ts";

/** The engine's board in memory; the real ones (etcd, Redis) pass board-contract.ts. A card goes when it is withdrawn, or its node is cut off here. */
export class MemoryBoard {
  #isAway = false;
  readonly #cards = new Map<string, string>();
  readonly #changed = new Set<() => void>();

  connect(): Board {
    return {
      post: async (name, text) => {
        this.#reach();
        this.#change(() => this.#cards.set(name, text));
      },
      withdraw: async (name) => this.#change(() => this.#cards.delete(name)),
      watch: (signal) => this.#watch(signal),
    };
  }

  /** Whether nobody can reach it; it keeps its cards. */
  setAway(isAway: boolean): void {
    this.#change(() => {
      this.#isAway = isAway;
    });
  }

  #reach(): void {
    if (this.#isAway) throw new WeftError("unavailable", "nobody answers");
  }

  #change(change: () => void): void {
    change();
    for (const tell of [...this.#changed]) tell();
  }

  async *#watch(signal: AbortSignal): AsyncGenerator<ReadonlyMap<string, string>> {
    while (!signal.aborted) {
      const next = new Promise<void>((resolve) => {
        const done = () => {
          this.#changed.delete(done);
          resolve();
        };
        this.#changed.add(done);
        signal.addEventListener("abort", done, { once: true });
      });
      this.#reach();
      yield new Map(this.#cards);
      await next;
    }
  }
}

export interface TestNode {
  readonly data: string;
  readonly listening: Awaited<ReturnType<typeof startWeft>>["listening"];
  /** Asks its admin API; an object is sent as JSON. */
  ask(
    method: string,
    path: string,
    body?: object | string,
  ): Promise<{ readonly status: number; readonly json: Record<string, unknown>; readonly text: string }>;
  stop(): Promise<void>;
  /** RunningWeft.removed */
  readonly removed: Promise<Error>;
}

export type NodeOptions = Partial<Pick<StartOptions, "cluster" | "node" | "takeOver" | "trustDomain" | "ca" | "adsTls" | "inMesh">>;

/** A store that nodes share, and what was started on it; `close` ends all. */
export class TestMesh {
  readonly engine = new MemoryEngine();
  readonly board = new MemoryBoard();
  readonly #directories: string[] = [];
  readonly #running = new Set<TestNode>();

  directory(): string {
    const path = mkdtempSync(join(tmpdir(), "weft-mesh-"));
    this.#directories.push(path);
    return path;
  }

  async start(data: string, options: NodeOptions = {}): Promise<TestNode> {
    const anywhere = { host: "127.0.0.1", port: 0 };
    const weft = await startWeft({
      data,
      ads: anywhere,
      admin: anywhere,
      trustDomain: "mesh.local",
      store: "memory log",
      openStore: async (_, { dataDir, clock }) => ({
        store: await openReplica({ clock, path: join(dataDir, "weft.db"), log: this.engine.connect() }),
        board: this.board.connect(),
      }),
      adminHosts: () => [],
      version: "test",
      clock: systemClock,
      env: {},
      ...options,
    });
    const node: TestNode = {
      data,
      listening: weft.listening,
      removed: weft.removed,
      async ask(method, path, body) {
        const text = typeof body === "object" ? JSON.stringify(body) : body;
        const headers: Record<string, string> = typeof body === "object" ? { "content-type": "application/json" } : {};
        const response = await fetch(`http://weft${path}`, {
          method,
          headers,
          unix: weft.listening.admin_socket,
          ...(text === undefined ? {} : { body: text }),
        });
        const answer = await response.text();
        const isJson = (response.headers.get("content-type") ?? "").includes("json");
        return { status: response.status, json: isJson ? JSON.parse(answer) : {}, text: answer };
      },
      stop: async () => {
        this.#running.delete(node);
        await weft.close();
      },
    };
    this.#running.add(node);
    return node;
  }

  /** The mesh's first node, which serves others. */
  async found(name = "a", options: NodeOptions = {}): Promise<TestNode> {
    return await this.start(this.directory(), { node: name, cluster: { host: "127.0.0.1", port: 0 }, ...options });
  }

  /** A token of `authority`'s, and where it is good. */
  async token(authority: TestNode, request: object = {}): Promise<{ readonly token: string; readonly address: string }> {
    const { status, json } = await authority.ask("POST", "/v1/nodes/tokens", request);
    if (status !== 201) throw new Error(`no token: ${status} ${JSON.stringify(json)}`);
    return { token: String(json.token), address: String(json.address) };
  }

  /** Joins and starts a node. */
  async join(
    authority: TestNode,
    node: string,
    { isAuthority = false, ...options }: NodeOptions & { readonly isAuthority?: boolean } = {},
  ): Promise<TestNode> {
    const data = this.directory();
    await joinNode({ data, node, clock: systemClock, ...(await this.token(authority, isAuthority ? { authority: true } : {})) });
    return await this.start(data, { ...(isAuthority ? { cluster: { host: "127.0.0.1", port: 0 } } : {}), ...options });
  }

  async close(): Promise<void> {
    for (const node of [...this.#running].reverse()) await node.stop();
    for (const path of this.#directories.splice(0)) rmSync(path, { recursive: true, force: true });
  }
}

/** Tries until `condition` holds. @throws the last failure after `limitMs` */
export async function eventually(condition: () => Promise<void> | void, limitMs = 20_000): Promise<void> {
  const end = performance.now() + limitMs;
  for (;;) {
    try {
      return await condition();
    } catch (reason) {
      if (performance.now() > end) throw reason;
    }
    await Bun.sleep(20);
  }
}
