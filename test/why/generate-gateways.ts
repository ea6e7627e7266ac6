/** Generated Gateways for the arena's gateway, routes that are bound to them, policies there, and requests that come in. */
import { authorizationPolicy, requestAuthentication, type Spec } from "./generate-policies.ts";
import { virtualService } from "./generate-routes.ts";
import { GATEWAY } from "./ground.ts";
import type { Random } from "./random.ts";

interface Made {
  readonly namespace: string;
  readonly spec: Spec;
  readonly annotations?: Spec;
}

/** Of the gateway, each with its protocol at most of the Gateways. */
const PORTS = { http: 8080, redirected: 8081, tcp: 9090, tls: 9443 } as const;

const SHOP = "shop.example.com";
const VAULT = "vault.example.com";
const HOSTS = [[SHOP], [SHOP, VAULT], ["*.example.com"], ["*"], [`default/${SHOP}`], [`ops/*`, SHOP], ["./*"]];
const SELECTOR = { istio: "ingressgateway" };

export function gateway(random: Random): Made {
  const servers: Spec[] = [
    { port: { number: PORTS.http, name: "http", protocol: random.pick(["HTTP", "HTTP", "HTTP2"]) }, hosts: random.pick(HOSTS) },
    {
      port: { number: PORTS.redirected, name: "redirected", protocol: "HTTP" },
      hosts: random.pick(HOSTS),
      ...(random.chance(0.7) ? { tls: { httpsRedirect: true } } : {}),
    },
    { port: { number: PORTS.tcp, name: "tcp", protocol: "TCP" }, hosts: random.pick(HOSTS) },
    {
      port: { number: PORTS.tls, name: "tls", protocol: "TLS" },
      hosts: random.pick([[VAULT], ["*.example.com"], ["*"]]),
      tls: { mode: "PASSTHROUGH" },
    },
  ];
  return {
    namespace: random.pick(["default", "default", "ops"]),
    spec: {
      servers: random.some(servers, 2, servers.length),
      selector: random.chance(0.9) ? random.pick<Spec>([SELECTOR, SELECTOR, {}]) : { istio: "other" },
    },
  };
}

/** Names of a mesh's Gateways, as gateway() is called for them. */
export const gatewayNames = (tag: string) => [`g0-${tag}`, `g1-${tag}`];

const ORDERS = "orders.default.mesh.local";
const toOrders = (port: number) => [{ destination: { host: ORDERS, port: { number: port } } }];

export function boundVirtualService(random: Random, tag: string): Made {
  const { namespace, spec } = virtualService(random, tag);
  const names = gatewayNames(tag).flatMap((name) => [`default/${name}`, `ops/${name}`]);
  const others = [...gatewayNames(tag), "mesh"];
  const gateways = [...random.some(names, 2, names.length), ...(random.chance(0.3) ? random.some(others, 1, 2) : [])];
  const rules = (spec.http as readonly Spec[]).map((rule) => withClaims(random, rule));
  // Most requests are to reach an application.
  const http = random.chance(0.7) ? [...rules, { route: toOrders(8080) }] : rules;
  const matchGateways = random.chance(0.2) ? { gateways: [random.pick(gateways)] } : {};
  const tcp = random.chance(0.8) ? { tcp: [{ match: [{ port: PORTS.tcp, ...matchGateways }], route: toOrders(9090) }] } : {};
  const sniHosts = random.pick([[VAULT], ["*.example.com"], [SHOP, VAULT]]);
  const tls = random.chance(0.6) ? { tls: [{ match: [{ sniHosts, ...matchGateways }], route: toOrders(9443) }] } : {};
  const hosts =
    "tls" in tls ? random.pick([["*.example.com"], [SHOP, VAULT]]) : random.pick([[SHOP], ["*.example.com"], ["*"], [VAULT, SHOP]]);
  return { namespace, spec: { hosts, gateways, http, ...tcp, ...tls } };
}

const CLAIMS: readonly (readonly [string, readonly Spec[]])[] = [
  ["@request.auth.claims.group", [{ exact: "admin" }, { prefix: "gu" }, { regex: "g.*|7" }]],
  ["@request.auth.claims[groups]", [{ exact: "guest" }, { exact: "admin" }]],
  ["@request.auth.claims[nested][role]", [{ exact: "reader" }, { regex: "w.*" }]],
  ["@request.auth.claims.scope", [{ exact: "write" }, { prefix: "re" }]],
  ["@request.auth.claims[sub]", [{}, { exact: "anna" }]],
];

/** Its first match asks for claims too, now and then for their absence. */
function withClaims(random: Random, rule: Spec): Spec {
  if (!random.chance(0.4)) return rule;
  const [name, conditions] = random.pick(CLAIMS);
  const field = random.chance(0.3) ? "withoutHeaders" : "headers";
  const [first = {}, ...more] = (rule.match ?? []) as readonly Spec[];
  const asked = { ...(first[field] as Spec | undefined), [name]: random.pick(conditions) };
  return { ...rule, match: [{ ...first, [field]: asked }, ...more] };
}

/** At the gateway alone. */
export function policyThere(random: Random): Made {
  const { spec, annotations } = authorizationPolicy(random);
  return { namespace: "default", annotations, spec: { ...spec, selector: { matchLabels: SELECTOR } } };
}

export function tokensThere(random: Random): Made {
  const { spec } = requestAuthentication(random);
  return { namespace: "default", spec: { ...spec, selector: { matchLabels: SELECTOR } } };
}

/** Where a request comes in. */
export function generateEntry(random: Random): {
  readonly from: string;
  readonly to: string;
  readonly tcp: boolean;
  readonly tls: boolean;
} {
  const port = random.pick([PORTS.http, PORTS.http, PORTS.http, PORTS.http, PORTS.redirected, PORTS.tcp, PORTS.tls]);
  const tls = port === PORTS.tls;
  const host = tls ? random.pick([VAULT, VAULT, SHOP, "other.example"]) : random.pick([SHOP, SHOP, SHOP, VAULT, "other.example"]);
  return { from: GATEWAY, to: `${host}:${port}`, tcp: tls || port === PORTS.tcp, tls };
}
