/** A data directory of weft's with the mesh in it, and the proxies' tokens: made over the admin API, as a user makes them. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../../src/lib/clock.ts";
import type { Processes } from "../lab/processes.ts";
import { type LoadReport, runLoad } from "./load.ts";
import { CHANGES, type ChangeKind, changeDocument, type MeshSize, meshDocuments, workloadId } from "./mesh.ts";
import type { Protocol } from "./options.ts";
import { type Dumps, startWeft, type WeftPlace } from "./servers.ts";

/** Of one apply; the API takes 4 MiB. */
const MOST_BYTES = 3.5 * 1024 * 1024;
/** Token requests under way at once. */
const LANES = 16;

export interface Prepared extends WeftPlace {
  readonly size: MeshSize;
  readonly tokens: string;
  readonly directory: string;
  /** Seconds that the applies and the tokens took, and how many documents there are. */
  readonly applySeconds: number;
  readonly tokenSeconds: number;
  readonly documents: number;
}

export async function prepare(processes: Processes, command: readonly string[], directory: string, size: MeshSize): Promise<Prepared> {
  const changes = join(directory, "changes");
  const tokens = join(directory, "tokens");
  for (const one of [changes, tokens]) mkdirSync(one, { recursive: true, mode: 0o700 });
  for (const kind of CHANGES) {
    for (const state of ["a", "b"] as const) writeFileSync(join(changes, `${kind}-${state}.yaml`), changeDocument(kind, size, state));
  }
  const place = { command, data: join(directory, "data"), changes };
  const server = await startWeft(processes, place, "endpoint");
  const began = systemClock.monotonic();
  let documents = 0;
  for (const { text, count } of parts(size)) {
    await ask(place.data, "/v1/apply", "application/yaml", text);
    documents += count;
  }
  const applied = systemClock.monotonic();
  const lane = async (first: number) => {
    for (let index = first; index < size.streams; index += LANES) {
      const answer = await ask(place.data, "/v1/tokens", "application/json", JSON.stringify({ workload: workloadId(index) }));
      writeFileSync(join(tokens, String(index)), JSON.parse(answer).token, { mode: 0o600 });
    }
  };
  await Promise.all(Array.from({ length: LANES }, (_, first) => lane(first)));
  const ready = systemClock.monotonic();
  await server.stop();
  return { ...place, size, tokens, directory, documents, applySeconds: (applied - began) / 1000, tokenSeconds: (ready - applied) / 1000 };
}

function* parts(size: MeshSize): Iterable<{ readonly text: string; readonly count: number }> {
  let text = "";
  let count = 0;
  for (const document of meshDocuments(size)) {
    if (text.length + document.length > MOST_BYTES) {
      yield { text, count };
      text = "";
      count = 0;
    }
    text += `${count > 0 ? "---\n" : ""}${document}`;
    count += 1;
  }
  yield { text, count };
}

async function ask(data: string, path: string, type: string, body: string): Promise<string> {
  const answer = await fetch(`http://weft${path}`, {
    unix: join(data, "admin.sock"),
    method: "POST",
    headers: { "content-type": type },
    body,
    // A large apply may take longer than fetch would wait.
    timeout: false,
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`POST ${path}: ${answer.status} ${text.slice(0, 500)}`);
  return text;
}

export interface Run {
  readonly protocol: Protocol;
  readonly change: ChangeKind;
  readonly quick: boolean;
}

/** What every proxy has in both states of a change, taken from weft by the load client; weft is in state a afterwards. */
export async function dumpMesh(processes: Processes, load: string, prepared: Prepared, { protocol, change, quick }: Run): Promise<Dumps> {
  const { directory, tokens, size } = prepared;
  const dumps = { a: join(directory, `${protocol}-${change}-a.dump`), b: join(directory, `${protocol}-${change}-b.dump`) };
  const server = await startWeft(processes, prepared, change);
  try {
    await runLoad({ program: load, server, protocol, streams: size.streams, tokens, quick, write: dumps });
    await ask(prepared.data, "/v1/apply", "application/yaml", changeDocument(change, size, "a"));
  } finally {
    await server.stop();
  }
  return dumps;
}

/** One run of a weft that has just started. `syncs` mass connects, then `changes`, an even number: so weft is in state a again. */
export async function measureWeft(
  processes: Processes,
  load: string,
  prepared: Prepared,
  run: Run & { readonly dumps: Dumps; readonly syncs: number; readonly changes: number; readonly steady?: number },
): Promise<LoadReport> {
  const { tokens, size } = prepared;
  const server = await startWeft(processes, prepared, run.change);
  try {
    return await runLoad({ ...run, program: load, server, streams: size.streams, tokens });
  } finally {
    await server.stop();
  }
}
