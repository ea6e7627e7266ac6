/** What Istio does with a request, `weft why` says of it: the recorded verdicts, evaluated without an Envoy. */
import { expect, test } from "bun:test";
import { buildMesh } from "../../src/mesh/build.ts";
import { parseDocuments } from "../../src/model/index.ts";
import { type DestinationAnswer, type WhyAnswer, why } from "../../src/why/index.ts";
import { baseYaml, type Case, declaredIn, describeCase, groups } from "./cases.ts";

const base = await baseYaml();
/** For the times in tokens. The recorded ones carry none. */
const NOW = Date.parse("2026-01-01T00:00:00Z");

/** Sidecars take the TCP service where the Envoys of stage.ts do: nothing intercepts connections. */
function listening(yaml: string): string {
  const listen = 'annotations: {weft.dev/listen: "orders.default.mesh.local:9090=127.0.0.1:19090"}';
  return yaml.replaceAll(/^(kind: WorkloadEntry\nmetadata: ?\{)/gm, `$1 ${listen},`);
}

for (const group of groups) {
  test(group.name, () => {
    const { resources, problems } = parseDocuments(listening(`${base}\n---\n${group.yaml}`), "group.yaml");
    expect(problems.filter(({ severity }) => severity === "error")).toEqual([]);
    const mesh = buildMesh(resources, { revision: 1, trustDomain: "mesh.local" });
    const versions = new Map(
      [...declaredIn(base).workloads, ...declaredIn(group.yaml).workloads].map((one) => [
        `${one.namespace}/${one.name}`,
        one.labels.version ?? "",
      ]),
    );
    const namespaces = new Map([...mesh.workloads.values()].map(({ name, namespace }) => [name, namespace]));
    for (const one of group.cases) {
      const from = one.from === "plaintext" ? one.from : `${namespaces.get(one.from)}/${one.from}`;
      const { to = "orders:8080", method, path, headers } = one;
      // A caller of another namespace must write the service's whole name.
      const [service = "", port] = to.split(":");
      const host = service.includes(".") ? service : `${service}.default.mesh.local`;
      const answer = why(mesh, { from, to: `${host}:${port}`, method, path, headers }, { now: NOW });
      const found = { case: describeCase(one), ...observe(answer, one, versions) };
      expect(found, JSON.stringify(answer, null, 1)).toEqual({ case: describeCase(one), ...expectationOf(one) });
      for (const { source } of answer.steps) if (source) expect(source.line).toBeGreaterThan(0);
    }
  });
}

type Seen = Pick<Case, "status" | "subsets" | "weights"> & { readonly expect: string };

function expectationOf({ expect: verdict, status, subsets, weights }: Case): Seen {
  return { expect: verdict, status, subsets: subsets && [...subsets].sort(), weights };
}

/** A client without a sidecar met the first workload behind the service when the verdicts were recorded. */
function observe(answer: WhyAnswer, one: Case, versions: ReadonlyMap<string, string>): Seen {
  const [first] = one.from === "plaintext" ? (answer.destinations[0]?.endpoints ?? []) : [];
  const { verdict, status } = first ?? answer;
  const reached = (destination: DestinationAnswer) => [
    ...new Set(destination.endpoints.map(({ workload }) => versions.get(workload ?? "") ?? "")),
  ];
  const weights = Object.fromEntries(answer.destinations.map((destination) => [reached(destination).join(), destination.weight]));
  return {
    expect: verdict,
    status: one.status === undefined ? undefined : status,
    subsets: one.subsets && [...new Set(answer.destinations.flatMap(reached))].sort(),
    weights: one.weights && weights,
  };
}
