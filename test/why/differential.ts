/** Generated meshes and requests through real Envoys, held against `weft why`. */
import { systemClock } from "../../src/lib/clock.ts";
import { buildMesh } from "../../src/mesh/build.ts";
import type { Mesh } from "../../src/mesh/types.ts";
import { parseDocuments } from "../../src/model/index.ts";
import { type WhyAnswer, type WhyRequest, why } from "../../src/why/index.ts";
import type { Arena } from "./arena.ts";
import { difference } from "./compare.ts";
import { type Asked, type Generated, generateMesh, generateRequest } from "./generate.ts";
import { GATEWAY, KEYS } from "./ground.ts";
import { observe } from "./observe.ts";
import { randomOf } from "./random.ts";
import { type Census, openCounter } from "./shapes.ts";

export interface Disagreement {
  readonly seed: number;
  readonly asked: Asked;
  readonly difference: string;
  /** As small as it still disagrees. */
  readonly mesh: readonly Generated[];
}

export interface Report {
  readonly meshes: number;
  readonly requests: number;
  readonly verdicts: Readonly<Record<string, number>>;
  readonly census: Census;
  readonly disagreements: readonly Disagreement[];
}

export interface FuzzOptions {
  readonly seed: number;
  readonly meshes: number;
  readonly requestsPerMesh: number;
  /** Stops after so many. */
  readonly limit: number;
  readonly onMesh?: (index: number, requests: number) => void;
}

/** A mesh has a seed of its own, seed + index, so that any one of a run can be played alone. */
export async function fuzz(arena: Arena, { seed, meshes, requestsPerMesh, limit, onMesh }: FuzzOptions): Promise<Report> {
  const disagreements: Disagreement[] = [];
  const verdicts: Record<string, number> = {};
  const counter = openCounter();
  let requests = 0;
  let played = 0;
  for (; played < meshes && disagreements.length < limit; played++) {
    const random = randomOf(seed + played);
    const generated = generateMesh(random, (seed + played).toString(36), arena.grounds);
    await arena.play(generated);
    counter.mesh(generated);
    const mesh = meshOf(arena, generated);
    const asked = Array.from({ length: requestsPerMesh }, () => generateRequest(random));
    await askWeft(arena, mesh, asked.slice(0, ASKED_OF_WEFT));
    const found: Disagreement[] = [];
    await inParallel(asked, async (one) => {
      const result = await disagreement(arena, mesh, one);
      verdicts[result.verdict] = (verdicts[result.verdict] ?? 0) + 1;
      counter.answer(result.answer);
      requests += 1;
      if (result.difference) found.push({ seed: seed + played, asked: one, difference: result.difference, mesh: generated });
    });
    for (const one of found.slice(0, Math.max(0, limit - disagreements.length))) disagreements.push(await shrink(arena, one));
    onMesh?.(played, requests);
  }
  return { meshes: played, requests, verdicts, census: counter.census, disagreements };
}

/** `base`: what is always there, YAML. */
export function meshOf({ base }: { readonly base: string }, generated: readonly Generated[]): Mesh {
  const { resources, problems } = parseDocuments([base, ...generated.map(({ text }) => text)].join("\n---\n"), "generated.yaml");
  const errors = problems.filter(({ severity }) => severity === "error");
  if (errors.length > 0) throw new Error(JSON.stringify(errors));
  return buildMesh(resources, { revision: 1, trustDomain: "mesh.local" });
}

/** Of each mesh, so many requests are put to the running weft too. */
const ASKED_OF_WEFT = 3;

/** @throws Error where the running weft says other than these files do */
async function askWeft(arena: Arena, mesh: Mesh, all: readonly Asked[]): Promise<void> {
  for (const asked of all) {
    if (answerTo(mesh, asked) === CLOSED) continue;
    const request = questionOf(asked);
    const [own, running] = [why(mesh, request, { now: systemClock.now() }), await arena.why(request)];
    const differs = own.verdict !== running.verdict || own.status !== running.status || own.summary !== running.summary;
    if (differs)
      throw new Error(
        `POST /v1/why says ${running.summary}, and of the same files weft why says ${own.summary}: ${JSON.stringify(request)}`,
      );
    const unconnected = running.destinations.flatMap(({ endpoints }) =>
      endpoints.filter(({ workload, connected }) => workload !== null && connected !== true),
    );
    if (unconnected.length > 0) throw new Error(`POST /v1/why knows no proxy of ${JSON.stringify(unconnected)}`);
  }
}

/** Whatever goes over loopback comes from 127.0.0.1. */
function questionOf({ from, to, method, path, headers }: Asked): WhyRequest {
  return { from: KEYS.get(from) ?? from, to, method, path, headers, sourceIp: "127.0.0.1" };
}

/** A gateway that has no server at the port is no question for `weft why`, and for its Envoy a closed port. */
export function answerTo(mesh: Mesh, asked: Asked, now = systemClock.now()): WhyAnswer {
  if (asked.from === GATEWAY) {
    const port = Number(/:(\d+)$/.exec(asked.to)?.[1]);
    const listens = mesh.gateways.get(`default/${GATEWAY}`)?.listeners.some((listener) => listener.port === port);
    if (!listens) return CLOSED;
    return why(onLoopback(mesh), questionOf(asked), { now });
  }
  return why(mesh, questionOf(asked), { now });
}

/** What the gateway sends on comes from 127.0.0.1, too, whatever its own address on loopback. */
function onLoopback(mesh: Mesh): Mesh {
  const gateway = mesh.workloads.get(`default/${GATEWAY}`);
  return gateway ? { ...mesh, workloads: new Map([...mesh.workloads, [gateway.key, { ...gateway, address: "127.0.0.1" }]]) } : mesh;
}

const CLOSED: WhyAnswer = {
  verdict: "refused",
  status: 0,
  summary: "the port is closed",
  protocol: "tcp",
  mixed: false,
  route: null,
  destinations: [],
  mtls: null,
  jwt: null,
  authorization: null,
  steps: [],
};

/** Envoy's worker takes over what its main thread has settled a moment later. */
const PATIENCE_MS = 1_500;

async function disagreement(
  arena: Arena,
  mesh: Mesh,
  asked: Asked,
): Promise<{ readonly answer: WhyAnswer; readonly verdict: string; readonly difference?: string }> {
  const answer = answerTo(mesh, asked);
  const verdict = answer.mixed ? "mixed" : `${answer.verdict} ${answer.status}`;
  const deadline = systemClock.monotonic() + PATIENCE_MS;
  for (;;) {
    const found = difference(answer, asked, await observe(arena, asked));
    if (found === undefined || systemClock.monotonic() > deadline) return { answer, verdict, difference: found };
  }
}

const WIDTH = 6;

async function inParallel<T>(all: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
  const queue = [...all];
  const worker = async () => {
    for (let one = queue.shift(); one !== undefined; one = queue.shift()) await work(one);
  };
  await Promise.all(Array.from({ length: WIDTH }, worker));
}

/** Leaves out every resource without which it still disagrees. */
async function shrink(arena: Arena, found: Disagreement): Promise<Disagreement> {
  let smallest = found;
  for (const candidate of found.mesh) {
    const mesh = smallest.mesh.filter((one) => one !== candidate);
    if (mesh.length === 0) continue;
    await arena.play(mesh);
    const { difference: still } = await disagreement(arena, meshOf(arena, mesh), found.asked);
    if (still) smallest = { ...found, mesh, difference: still };
  }
  return smallest;
}

export function formatDisagreement({ seed, asked, difference: text, mesh }: Disagreement): string {
  return [`mesh of seed ${seed}`, JSON.stringify(asked), text, ...mesh.map((one) => one.text)].join("\n");
}
