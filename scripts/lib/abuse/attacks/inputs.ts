/** Documents that an authorised caller sends, by mistake or malice. They may be refused, never hang weft, and never become somebody else's identity. */
import { X509Certificate } from "node:crypto";
import { exchange, request } from "../http1.ts";
import { adsHeaders, ask, deltaRequest, SECRET, type Siege } from "../siege.ts";
import type { Attack, Door, Result } from "../types.ts";

const INPUT_LIMIT_MS = 30_000;
const socketOnly = (door: Door) => door.speaks === "admin" && !door.asks;

async function apply(siege: Siege, door: Door, yaml: string, query = ""): Promise<{ readonly status: number; readonly text: string }> {
  const authorization = `Bearer ${siege.adminToken}`;
  return await exchange(
    door,
    request("POST", `/v1/apply${query}`, { authorization, "content-type": "application/yaml" }, yaml),
    INPUT_LIMIT_MS,
  );
}

/** Plays each of `inputs`, `times` in all; what must be refused and was taken got in. */
async function play(siege: Siege, door: Door, times: number, inputs: readonly string[], query = ""): Promise<Result> {
  const statuses = new Map<number, number>();
  let gotIn = 0;
  for (let index = 0; index < times; index += 1) {
    const { status } = await apply(siege, door, inputs[index % inputs.length] ?? "", query);
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
    if (status === 200) gotIn += 1;
  }
  return { attempts: times, gotIn, note: [...statuses].map(([status, count]) => `${status || "no answer"}: ${count}`).join(", ") };
}

const laughs = (levels: number, width: number) =>
  [
    "a0: &a0 [x,x,x,x,x,x,x,x,x,x]",
    ...Array.from({ length: levels }, (_, index) => `a${index + 1}: &a${index + 1} [${Array(width).fill(`*a${index}`)}]`),
  ].join("\n");

const entry = (spec: string) => `apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: bad}\nspec: ${spec}\n`;

const routeBy = (name: string, regex: string) => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}}
spec:
  hosts: [slow.example]
  http:
    - match: [{uri: {regex: ${JSON.stringify(regex)}}}]
      route: [{destination: {host: orders}}]
`;

const workload = (name: string, serviceAccount: string, namespace = "default") => `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: ${JSON.stringify(name)}, namespace: ${JSON.stringify(namespace)}}
spec: {address: 127.99.0.1, serviceAccount: ${JSON.stringify(serviceAccount)}, labels: {app: evil}}
`;

const smallService = (index: number) => `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: many-${index}}
spec: {hosts: [many-${index}], location: MESH_INTERNAL, resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}], endpoints: [{address: 10.0.0.1}]}
`;

/** A regular expression on which a backtracking engine never ends, in how many ways it can be written. */
const SLOW_REGEXES = ["(a+)+$", "(a|aa)+$", "(.*a){25}$", "([a-zA-Z]+)*$", "(a*)*b", "(x+x+)+y", `${"(".repeat(200)}a${")*".repeat(200)}`];

export const INPUTS: readonly Attack[] = [
  {
    name: "YAML bombs: aliases, depth, keys, anchors",
    by: "editor",
    on: "admin",
    times: [60, 8],
    run: (siege, door, times) =>
      play(siege, door, times, [
        laughs(12, 10),
        entry(`\n${laughs(12, 10).replace(/^/gm, "  ")}`),
        entry("&a {hosts: [*a]}"),
        entry("[".repeat(100_000)),
        entry(`${'{"a":'.repeat(50_000)}1${"}".repeat(50_000)}`),
        "- ".repeat(500_000),
        `${"&a ".repeat(100_000)}x`,
        `? ${"? ".repeat(100_000)}`,
      ]),
  },
  {
    name: "60,000 unknown fields in one document",
    by: "editor",
    on: socketOnly,
    times: [10, 2],
    run: (siege, door, times) =>
      play(siege, door, times, [entry(`{${Array.from({ length: 60_000 }, (_, index) => `f${index}: 1`).join(", ")}}`)]),
  },
  {
    name: "15,000 resources in one apply (dry run)",
    by: "editor",
    on: socketOnly,
    times: [3, 1],
    async run(siege, door, times) {
      const many = Array.from({ length: 15_000 }, (_, index) => smallService(index)).join("---\n");
      const { attempts, note } = await play(siege, door, times, [many], "?dryRun=true");
      return { attempts, gotIn: 0, note };
    },
  },
  {
    name: "regular expressions without an end, and their requests",
    by: "editor",
    on: socketOnly,
    times: [70, 7],
    async run(siege, door, times) {
      const authorization = `Bearer ${siege.adminToken}`;
      const statuses = new Map<number, number>();
      for (let index = 0; index < times; index += 1) {
        const { status } = await apply(siege, door, routeBy("slow", SLOW_REGEXES[index % SLOW_REGEXES.length] ?? ""));
        const question = JSON.stringify({ from: "web-1", to: "slow.example", path: `/${"a".repeat(5_000)}!` });
        const why = await exchange(
          door,
          request("POST", "/v1/why", { authorization, "content-type": "application/json" }, question),
          INPUT_LIMIT_MS,
        );
        for (const one of [status, why.status]) statuses.set(one, (statuses.get(one) ?? 0) + 1);
      }
      await siege.weft.cli(["delete", "VirtualService", "slow"]);
      return { attempts: times, gotIn: 0, note: [...statuses].map(([status, count]) => `${status || "no answer"}: ${count}`).join(", ") };
    },
  },
  {
    name: "SAN injection: names that would be another's SPIFFE ID",
    by: "editor",
    on: socketOnly,
    times: [60, 12],
    async run(siege, door, times) {
      const names = [
        "orders/sa/web",
        "../web",
        "web\u0000",
        "web,URI:spiffe://mesh.local/ns/weft-system/sa/root",
        "web\nURI:spiffe://x/y",
        "we%62",
      ];
      names.push("spiffe://mesh.local/ns/default/sa/web", "web?x", "web#x", "wéb", "..", "a".repeat(3_000));
      let gotIn = 0;
      const statuses = new Map<number, number>();
      for (let index = 0; index < times; index += 1) {
        const { status } = await apply(siege, door, workload("evil-1", names[index % names.length] ?? ""));
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
        if (status !== 200) continue;
        // Taken as a name of its own is no harm; becoming another's is.
        const token = await siege.token("evil-1");
        const [ads] = siege.doors;
        const bytes = ads ? await ask(ads, adsHeaders(token), deltaRequest(SECRET, ["default"]), 500) : Buffer.alloc(0);
        const [pem] = bytes.toString("latin1").match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/) ?? [];
        const san = pem ? (new X509Certificate(pem).subjectAltName ?? "") : "";
        if (san !== "" && (!/^URI:spiffe:\/\/mesh\.local\/ns\/default\/sa\/[\w.-]+$/.test(san) || /sa\/(web|orders|root)$/.test(san)))
          gotIn += 1;
      }
      await siege.weft.cli(["delete", "WorkloadEntry", "evil-1"]);
      return { attempts: times, gotIn, note: [...statuses].map(([status, count]) => `${status}: ${count}`).join(", ") };
    },
  },
  {
    name: "path traversal in names and in ?file=",
    by: "editor",
    on: "admin",
    times: [60, 9],
    run: (siege, door, times) => {
      const names = ["../../etc/passwd", "/etc/passwd", "a/../../b", "..", "%2e%2e%2fetc", "a\\b", "con\u0000", ".hidden", "-rf"];
      return play(
        siege,
        door,
        times,
        names.map((name) => workload(name, "orders")),
        "?file=../../../../etc/cron.d/x",
      );
    },
  },
];
