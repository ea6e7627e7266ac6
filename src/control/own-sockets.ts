/**
 * weft's own sockets and files, to which no document may lead a proxy. A proxy that runs as weft's user can open them all: led to admin.sock it would be
 * the owner's hand, led to ads.sock or the Workload API whoever the kernel says it is, and a listener of a Sidecar takes the place of the file that it binds.
 */
import { readlinkSync, realpathSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { errnoOf, WeftError } from "../lib/errors.ts";
import type { Problem } from "../lib/problem.ts";
import { ANNOTATION, problem } from "../model/index.ts";
import { type AnyResource, provenanceOf } from "../model/resource.ts";

type Document = Readonly<Record<string, unknown>>;

export interface OwnSocketsOptions {
  readonly data: string;
  /** Paths of sockets of weft's that may lie elsewhere. */
  readonly others: readonly string[];
  readonly onTrouble: (message: string) => void;
}

/** Asks for proof itself (admin/guard.ts), and weft's own documents lead there; as an address, but not to be taken by a listener. */
const FOR_SIDECAR = "mesh.sock";
/** Where nothing can be: /dev/null is no directory. */
const NOWHERE = "/dev/null/weft";
const KINDS: ReadonlySet<unknown> = new Set(["ServiceEntry", "WorkloadEntry", "WorkloadGroup", "Sidecar"]);
/** As many as the kernel follows (path_resolution(7)). */
const MOST_LINKS = 40;

export class OwnSockets {
  readonly #options: OwnSocketsOptions;
  readonly #data: string;

  constructor(options: OwnSocketsOptions) {
    this.#options = options;
    this.#data = realpathSync(options.data);
  }

  /** @throws WeftError "invalid" where one leads to what is this node's */
  refuse(resources: readonly AnyResource[]): void {
    const problems = resources.flatMap((one) => this.#problemsOf(one));
    if (problems.length > 0)
      throw new WeftError("invalid", "nothing was applied: proxies would be led to weft's own sockets", { problems });
  }

  /** `document` as this node serves it: where it was applied at another node, whose paths are others, what leads to this node's leads nowhere. */
  shield(document: Document): Document {
    if (!KINDS.has(document.kind) || !namesSocket(document)) return document;
    let found = false;
    const shielded = mapPaths(document, [], (path) => {
      if (!this.#isOwn(path, document.kind)) return path;
      found = true;
      return NOWHERE;
    }) as Document;
    if (!found) return document;
    const { namespace, name } = document.metadata as { readonly namespace: string; readonly name: string };
    this.#options.onTrouble(
      `${document.kind} ${namespace}/${name} leads proxies to this weft's own sockets: at this node it leads nowhere. weft audit says who wrote it`,
    );
    return shielded;
  }

  #problemsOf(resource: AnyResource): Problem[] {
    if (!KINDS.has(resource.kind) || !(namesSocket(resource.spec) || namesSocket(resource.metadata))) return [];
    const problems: Problem[] = [];
    const { kind, metadata, spec, source } = resource;
    mapPaths({ metadata, spec }, [], (path, at) => {
      if (!this.#isOwn(path, kind)) return path;
      problems.push(
        problem("badAddress", {
          message: `${at.join(".")}: ${path} leads to weft's own files, or to another place for each process`,
          file: source.file,
          line: Math.max(1, provenanceOf(resource, ...at).line),
          column: 1,
          help: "name the application's socket, in a directory of its own; callers of weft call the service weft.weft-system (weft run --in-mesh)",
          resource: { kind, namespace: metadata.namespace, name: metadata.name },
        }),
      );
      return path;
    });
    return problems;
  }

  /** Also where it only may be: what is said of /proc/self is another thing for each process, ".." is where links lead, and a path ends at its first NUL. */
  #isOwn(path: string, kind: unknown): boolean {
    if (/(?:^|\/)\.\.(?:\/|$)/.test(path) || path.includes("\0")) return true;
    const real = followLinks(resolve(path));
    if (real === undefined) return true;
    const mesh = join(this.#data, FOR_SIDECAR);
    if (real === mesh && kind !== "Sidecar") return false;
    if (real === this.#data || real.startsWith(`${this.#data}/`)) return true;
    const own = ["admin.sock", "ads.sock", "workload.sock", FOR_SIDECAR].map((name) => join(this.#data, name));
    const others = this.#options.others.map((other) => resolve(other));
    if (others.some((other) => followLinks(other) === real)) return true;
    // By another name: hard links, mounts.
    try {
      const there = identityOf(real);
      return there !== undefined && [...own, ...others].some((socket) => identityOf(socket) === there);
    } catch {
      // A disk that fails, say. What is stored must be read all the same: weft would not start for one such path.
      return true;
    }
  }
}

const UNIX = "unix://";

/** `value` with the paths of Unix sockets as `map` has them, in the fields that may hold one; `at` is where such a path stands. */
function mapPaths(value: unknown, at: readonly string[], map: (path: string, at: readonly string[]) => string): unknown {
  if (typeof value === "string") return mapText(value, (path) => map(path, at));
  if (Array.isArray(value)) return value.map((item, index) => mapPaths(item, [...at, `${index}`], map));
  if (typeof value !== "object" || value === null) return value;
  // Other annotations are texts for people.
  const isRead = (key: string) => at.at(-1) !== "annotations" || key === ANNOTATION.app;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, isRead(key) ? mapPaths(item, [...at, key], map) : item]));
}

/** "unix:///run/app.sock", "http=unix:///run/app.sock,db=unix:///run/db.sock" */
function mapText(text: string, map: (path: string) => string): string {
  if (text.startsWith(`${UNIX}/`)) return UNIX + map(text.slice(UNIX.length));
  return text.replace(/(=\s*unix:\/\/)(\/[^\s,=]*)/g, (_, before: string, path: string) => before + map(path));
}

/** Before anything is copied: nearly no document does. */
function namesSocket(value: unknown): boolean {
  if (typeof value === "string") return value.includes(`${UNIX}/`);
  return typeof value === "object" && value !== null && Object.values(value).some(namesSocket);
}

/** Where the path leads, as far as that is there; undefined where the links go round, or lead through /proc. */
function followLinks(path: string): string | undefined {
  let left = path.split("/").filter((part) => part !== "");
  let real = "/";
  for (let links = 0; left.length > 0; ) {
    const [part = "", ...rest] = left;
    left = rest;
    const next = part === ".." ? dirname(real) : join(real, part);
    if (next === "/proc") return undefined;
    const target = part === ".." ? undefined : linkAt(next);
    if (target === undefined) real = next;
    else {
      links += 1;
      if (links > MOST_LINKS) return undefined;
      if (target.startsWith("/")) real = "/";
      left = [...target.split("/").filter((each) => each !== "" && each !== "."), ...left];
    }
  }
  return real;
}

/** Where a symbolic link leads; undefined of all else. */
function linkAt(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

function identityOf(path: string): string | undefined {
  try {
    const { dev, ino } = statSync(path);
    return `${dev} ${ino}`;
  } catch (reason) {
    if (["ENOENT", "ENOTDIR", "EACCES", "ELOOP", "ENAMETOOLONG"].includes(errnoOf(reason) ?? "")) return undefined;
    throw reason;
  }
}
