/** Generated destination rules: subsets, client TLS, localities. */
import type { Spec } from "./generate-policies.ts";
import { VISIBILITY } from "./generate-routes.ts";
import type { Random } from "./random.ts";

const TLS = [
  { mode: "ISTIO_MUTUAL" },
  { mode: "DISABLE" },
  { mode: "SIMPLE", insecureSkipVerify: true },
  { mode: "ISTIO_MUTUAL", subjectAltNames: ["spiffe://mesh.local/ns/default/sa/web"] },
];

const SUBSETS: readonly Spec[] = [
  { name: "v1", labels: { version: "v1" } },
  { name: "v2", labels: { version: "v2" } },
  { name: "all" },
  { name: "none", labels: { version: "v7" } },
];

function balanced(random: Random): Spec {
  return { loadBalancer: { simple: random.pick(["ROUND_ROBIN", "RANDOM"]) } };
}

/** Without a number of errors that ejects: a mesh's refusals would, and then others were asked. */
const NEVER_EJECTS = { consecutive5xxErrors: 0, consecutiveGatewayErrors: 0 };

const LOCALITIES: readonly Spec[] = [
  {},
  { failover: [{ from: "eu", to: "us" }] },
  { failoverPriority: ["version", "topology.kubernetes.io/region"] },
  { distribute: [{ from: "eu/*", to: { "us/*": 100 } }] },
  {
    distribute: [
      { from: "eu/north/a", to: { "eu/*": 100 } },
      { from: "us/*", to: { "eu/north/a": 50, us: 50 } },
    ],
  },
  { distribute: [{ from: "*", to: { asia: 100 } }] },
  { enabled: false },
];

function locality(random: Random): Spec {
  const localityLbSetting = random.pick(LOCALITIES);
  const loadBalancer = { simple: random.pick(["ROUND_ROBIN", "RANDOM"]), localityLbSetting };
  return { loadBalancer, ...("distribute" in localityLbSetting ? {} : { outlierDetection: NEVER_EJECTS }) };
}

export function destinationRule(random: Random): { readonly namespace: string; readonly spec: Spec } {
  const host = random.pick([
    "orders.default.mesh.local",
    "orders.default.mesh.local",
    "orders.default.mesh.local",
    "batch.ops.mesh.local",
    "legacy.default.mesh.local",
    "*.default.mesh.local",
    "*.mesh.local",
  ]);
  const subsets = SUBSETS.filter(() => random.chance(0.8)).map((subset) =>
    random.chance(0.15) ? { ...subset, trafficPolicy: { tls: random.pick(TLS) } } : subset,
  );
  const levels = random.chance(0.15)
    ? { portLevelSettings: [{ port: { number: random.pick([8080, 8081, 9090]) }, tls: random.pick(TLS) }] }
    : {};
  const policy = random.chance(0.3) ? { tls: random.pick(TLS) } : random.chance(0.4) ? locality(random) : balanced(random);
  return {
    namespace: random.pick(["default", "default", "ops", "weft-system"]),
    spec: {
      host,
      ...(random.chance(0.5) ? { trafficPolicy: { ...policy, ...levels } } : {}),
      ...(subsets.length > 0 ? { subsets } : {}),
      ...(random.chance(0.2) ? { exportTo: random.pick(VISIBILITY) } : {}),
      ...(random.chance(0.15)
        ? { workloadSelector: { matchLabels: random.pick<Spec>([{ app: "web" }, { app: "batch" }, { version: "v1" }]) } }
        : {}),
    },
  };
}
