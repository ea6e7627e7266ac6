import { buildCommand, buildRouteMap } from "@stricli/core";
import type { CaAnswer, CaRotateTarget } from "../admin/ca-schemas.ts";
import { sleep } from "../lib/clock.ts";
import { BRIEF } from "./briefs.ts";
import { caTree } from "./ca-tree.ts";
import { type AdminClient, type ConnectFlags, connect, connectFlags, WRITE_LIMIT_MS } from "./client.ts";
import { clean, json } from "./output.ts";
import { fetchRoots } from "./roots.ts";
import { rootsListing } from "./roots-listing.ts";
import { type ReportFlags, reportFormat } from "./services.ts";
import { type Cli, verb } from "./verb.ts";
import { parseWait } from "./wait.ts";

const showCommand = buildCommand({
  docs: {
    brief: "Show the CA: its authorities, what is next for each, and who has what",
    fullDescription:
      "The tree of X.509 authorities, from the root that peers trust to the SVIDs in use, and the JWT authorities; when each ends, and what\n" +
      "happens next. Exit 1 where something about the CA must be looked at.",
  },
  parameters: { flags: { output: reportFormat, ...connectFlags }, aliases: { o: "output" } },
  func: verb<ReportFlags, []>(async (cli, flags) => {
    const ca = await (await connect(cli.io, flags)).call<CaAnswer>("/v1/ca");
    cli.print(flags.output === "json" ? json(ca) : clean(caTree(ca, cli.io.clock.now()).join("\n")));
    return ca.warnings.length > 0 ? 1 : 0;
  }),
});

interface RotateFlags extends ConnectFlags {
  readonly authority: CaRotateTarget;
  readonly wait?: number;
}

/** A rotation waits for proxies that are away for as long as an SVID lives. */
const DEFAULT_WAIT_MS = 3_600_000;
const FIRST_POLL_MS = 50;
const LONGEST_POLL_MS = 1_000;

const rotateCommand = buildCommand({
  docs: {
    brief: "Replace an authority of the CA now",
    fullDescription:
      "A new authority is made and put into the bundle; when every connected proxy has acknowledged it, it begins to sign, and every SVID is\n" +
      "issued again. The old one stays trusted until the last SVID under it has expired. No request is dropped. Proxies that are away are waited\n" +
      "for as long as an SVID lives. A JWT authority signs after five minutes at the earliest, because who verifies tokens fetches the bundle that\n" +
      "often. Where a rotation that was asked for is under way, this joins it. With --wait it goes on until every SVID in use is signed by the new\n" +
      "one; exit 1 where that takes too long.",
  },
  parameters: {
    flags: {
      authority: {
        kind: "enum",
        values: ["x509", "jwt", "all"],
        default: "x509",
        brief: "Which",
      },
      wait: {
        kind: "parsed",
        parse: parseWait(DEFAULT_WAIT_MS),
        inferEmpty: true,
        optional: true,
        brief: "Wait until it is done, 1h where no time is given",
        placeholder: "TIME",
      },
      ...connectFlags,
    },
  },
  func: verb<RotateFlags, []>(async (cli, flags) => {
    const client = await connect(cli.io, flags);
    const types = flags.authority === "all" ? (["x509", "jwt"] as const) : [flags.authority];
    const found = await client.call<CaAnswer>("/v1/ca");
    const before = activeIds(found, types);
    const body = JSON.stringify({ authority: flags.authority });
    const headers = { "content-type": "application/json" };
    const ca = await client.call<CaAnswer>("/v1/ca/rotate", { method: "POST", body, headers, limitMs: WRITE_LIMIT_MS });
    for (const line of joined(found, ca, types)) cli.print(clean(line));
    for (const line of stageLines(ca, types, before)) cli.print(clean(line));
    return flags.wait === undefined ? 0 : await waitUntilDone(cli, client, types, before, flags.wait);
  }),
});

type Types = readonly ("x509" | "jwt")[];

const activeOf = (ca: CaAnswer, type: Types[number]) => ca[type].find(({ state }) => state === "active");
const activeIds = (ca: CaAnswer, types: Types) => new Map(types.map((type) => [type, activeOf(ca, type)?.id]));

/** One line an authority whose rotation somebody asked for earlier. */
function joined(found: CaAnswer, ca: CaAnswer, types: Types): string[] {
  return types.flatMap((type) => {
    const of = ({ rotations }: CaAnswer) => rotations.find((one) => one.type === type && one.reason === "forced");
    const [earlier, now] = [of(found), of(ca)];
    return earlier && earlier.since === now?.since ? [`${type}: joins the rotation that was asked for at ${earlier.since}`] : [];
  });
}

/** One line an authority: how far it is. */
function stageLines(ca: CaAnswer, types: Types, before: ReadonlyMap<string, string | undefined>): string[] {
  return types.map((type) => {
    const active = activeOf(ca, type);
    if (active && active.id !== before.get(type)) {
      const left = type === "x509" ? notYet(ca, active.id).length : 0;
      return `${type}: ${active.id} signs${left > 0 ? `; ${left} SVIDs are still of the one before` : ""}`;
    }
    const { waitingFor = [], notBefore } = ca.rotations.find((rotation) => rotation.type === type) ?? {};
    const next = ca[type].find(({ state }) => state === "prepared");
    // A moment that is near passes before it is read.
    const from = type === "jwt" && notBefore !== undefined ? `, signs not before ${notBefore}` : "";
    const who = waitingFor.length > 0 ? `, and waits for ${waitingFor.join(", ")}` : "";
    return `${type}: ${next ? `${next.id} is in the bundle` : "a new one is being made"}${from}${who}`;
  });
}

const notYet = (ca: CaAnswer, id: string) => Object.entries(ca.svids).filter(([, svid]) => svid.authority !== id);

function isDone(ca: CaAnswer, types: Types, before: ReadonlyMap<string, string | undefined>): boolean {
  return types.every((type) => {
    const active = activeOf(ca, type);
    return active !== undefined && active.id !== before.get(type) && (type === "jwt" || notYet(ca, active.id).length === 0);
  });
}

async function waitUntilDone(
  cli: Cli,
  client: AdminClient,
  types: Types,
  before: ReadonlyMap<string, string | undefined>,
  limitMs: number,
): Promise<number> {
  const { clock } = cli.io;
  const end = clock.monotonic() + limitMs;
  let pause = FIRST_POLL_MS;
  let told = "";
  while (true) {
    const ca = await client.call<CaAnswer>("/v1/ca");
    const lines = stageLines(ca, types, before).join("\n");
    if (lines !== told) cli.print(clean(lines));
    told = lines;
    if (isDone(ca, types, before)) return 0;
    if (clock.monotonic() >= end) {
      cli.complain(`not done within ${limitMs / 1000} s: it goes on by itself; weft ca show tells how far it is`);
      return 1;
    }
    await sleep(clock, pause);
    pause = Math.min(pause * 2, LONGEST_POLL_MS);
  }
}

const rootsCommand = buildCommand({
  docs: {
    brief: "Print the root certificates that peers must trust now, PEM",
    fullDescription:
      "For --ca on other machines. Above each stands its SHA-256 and when it ends. --ca-fingerprint takes that of the root which signs now, as is said there.",
  },
  parameters: { flags: connectFlags },
  func: verb<ConnectFlags, []>(async (cli, flags) => {
    const client = await connect(cli.io, flags);
    const roots = await fetchRoots(client);
    // The bundle is everybody's to read, the CA's report is not.
    const ca = await client.call<CaAnswer>("/v1/ca").catch(() => undefined);
    cli.print(rootsListing(roots, ca).trimEnd());
    return 0;
  }),
});

export const caRoutes = buildRouteMap({
  routes: { show: showCommand, rotate: rotateCommand, roots: rootsCommand },
  docs: { brief: BRIEF.ca },
});
