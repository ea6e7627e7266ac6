import { describe, expect, test } from "bun:test";
import { toJsonSchema } from "@valibot/to-json-schema";
import type * as v from "valibot";
import { findKind, KINDS, schemaOf } from "../../src/model/index.ts";
import type { KindInfo } from "../../src/model/kinds.ts";
import type { Kind } from "../../src/model/resource.ts";
import { nearest } from "../../src/model/suggest.ts";
import { documentWith, expectRefused, problemsOf } from "./support.ts";

/** A spec that is accepted, for each kind: fields are added to it. */
const PLAIN: Record<Kind, Record<string, unknown>> = {
  ServiceEntry: { hosts: ["a.example.com"], resolution: "DNS", ports: [{ number: 80, name: "http", protocol: "HTTP" }] },
  WorkloadEntry: { address: "10.0.0.1" },
  WorkloadGroup: { template: {} },
  VirtualService: { hosts: ["a"], http: [{ route: [{ destination: { host: "a" } }] }] },
  DestinationRule: { host: "a" },
  Gateway: { servers: [{ port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["*"] }] },
  PeerAuthentication: {},
  AuthorizationPolicy: {},
  RequestAuthentication: {},
  EnvoyFilter: { configPatches: [] },
  Sidecar: { egress: [{ hosts: ["*/*"] }] },
  ProxyConfig: {},
  Telemetry: {},
  MeshConfig: {},
  Secret: {},
  TokenInjection: { hosts: ["a"], audience: "a" },
  TrustDomain: { bundleEndpoint: { url: "https://a.example/", profile: "https_web" } },
  WorkloadRegistration: { serviceAccount: "a", selectors: { unix: { uid: 1001 } } },
};

/** Kubernetes' own kinds have no spec. */
const placeOf = (kind: Kind, field: string) => ((KINDS[kind] as KindInfo).isFlat ? field : `spec.${field}`);

const KIND_NAMES = Object.keys(KINDS) as Kind[];

describe("fields that are not translated yet", () => {
  const http = (route: object) => ({ http: [{ ...route, route: [{ destination: { host: "a" } }] }] });
  const traffic = (policy: object) => ({ trafficPolicy: { connectionPool: { tcp: {} }, ...policy } });
  const cases: [Kind, Record<string, unknown>, string][] = [
    [
      "ServiceEntry",
      { hosts: ["*.example.com"], resolution: "NONE", ports: [{ number: 1, name: "tcp", protocol: "TCP" }] },
      "spec.ports[0]: nothing says which",
    ],
    ["ServiceEntry", { ports: [{ number: 53, name: "dns", protocol: "UDP" }] }, "spec.ports[0].protocol"],
    ["ServiceEntry", { endpoints: [{ network: "n" }] }, "spec.endpoints[0]: an instance without an address"],
    ["VirtualService", http({ fault: { delay: { exponentialDelay: "1s" } } }), "spec.http[0].fault.delay.exponentialDelay"],
    ["VirtualService", http({ fault: { abort: { http2Error: "x" } } }), "spec.http[0].fault.abort.http2Error"],
    ...["sourceSubnet"].map((field): [Kind, Record<string, unknown>, string] => [
      "VirtualService",
      { tcp: [{ match: [{ [field]: {} }], route: [{ destination: { host: "a" } }] }] },
      `spec.tcp[0].match[0].${field}`,
    ]),
    ["DestinationRule", traffic({ retryBudget: { budgetInterval: "1s" } }), "spec.trafficPolicy.retryBudget.budgetInterval"],
    ["DestinationRule", traffic({ loadBalancer: { zoneAwareLbSetting: {} } }), "spec.trafficPolicy.loadBalancer.zoneAwareLbSetting"],
    [
      "DestinationRule",
      traffic({ outlierDetection: { outlierDetectionHttpErrorCodes: [] } }),
      "spec.trafficPolicy.outlierDetection.outlierDetectionHttpErrorCodes",
    ],
    ["MeshConfig", { trustDomain: "x" }, "spec.trustDomain"],
    ["MeshConfig", { extensionProviders: [{ name: "x", stackdriver: {} }] }, "spec.extensionProviders[0].stackdriver"],
    ["MeshConfig", { zoneAwareLbSetting: {} }, "spec.zoneAwareLbSetting"],
    ["MeshConfig", { inboundTrafficPolicy: {} }, "spec.inboundTrafficPolicy"],
  ];
  for (const [kind, fields, place] of cases) {
    test(`${kind}: ${place} is refused by name as not translated yet`, () => {
      expectRefused(documentWith(kind, { ...PLAIN[kind], ...fields }), "notYet", place);
    });
  }

  test("a needed field under a misspelt name is one mistake, not two", () => {
    expectRefused(documentWith("ServiceEntry", { hosts: ["a.example.com"], resolutoin: "DNS" }), "unknownField", "spec.resolutoin");
    expectRefused(documentWith("DestinationRule", { hosts: "a" }), "unknownField", "spec.hosts");
  });
});

describe("fields that mean something on Kubernetes only", () => {
  for (const field of ["targetRef", "targetRefs"]) {
    test(`AuthorizationPolicy: ${field} is refused by name`, () => {
      expectRefused(
        documentWith("AuthorizationPolicy", { [field]: [] }),
        "kubernetesOnly",
        `spec.${field}: has a meaning on Kubernetes only`,
      );
    });
  }
});

describe("unknown fields", () => {
  for (const kind of KIND_NAMES) {
    test(`${kind} refuses one and suggests the nearest known name`, () => {
      expect(problemsOf(documentWith(kind, PLAIN[kind])).filter((line) => !line.startsWith("warning"))).toEqual([]);
      const schema = KINDS[kind].schema as unknown as { readonly entries: Record<string, unknown> };
      const [field = ""] = Object.keys(schema.entries);
      expectRefused(
        documentWith(kind, { ...PLAIN[kind], [`${field}z`]: [] }),
        "unknownField",
        `${placeOf(kind, field)}z: is no known field`,
      );
    });
  }

  test("the nearest name is found through swapped, missing and differently written letters, and nothing is suggested for what is far off", () => {
    const known = ["hosts", "exportTo", "workloadSelector", "http"];
    expect(["host", "hsots", "export_to", "WorkloadSelektor", "htp", "completelyDifferent"].map((word) => nearest(word, known))).toEqual([
      "hosts",
      "hosts",
      "exportTo",
      "workloadSelector",
      "http",
      undefined,
    ]);
  });
});

describe("wrong types", () => {
  for (const kind of KIND_NAMES) {
    test(`${kind}: every field of the spec refuses a value of another type, at its place`, () => {
      const { entries } = KINDS[kind].schema as unknown as { readonly entries: Record<string, v.GenericSchema> };
      for (const [field, schema] of Object.entries(entries)) {
        const type = schema.type === "optional" ? (schema as unknown as { readonly wrapped: v.GenericSchema }).wrapped.type : schema.type;
        for (const value of [null, 7.5, [[7.5]], { "\u0001": 7.5 }, "\u0001"]) {
          if (type === "string" && typeof value === "string") continue;
          if ((type === "strict_object" || type === "record") && value !== null && typeof value === "object" && !Array.isArray(value))
            continue;
          const lines = problemsOf(documentWith(kind, { ...PLAIN[kind], [field]: value }));
          expect([field, value, lines.some((line) => line.includes(` ${placeOf(kind, field)}`))]).toEqual([field, value, true]);
        }
      }
    });

    if ((KINDS[kind] as KindInfo).isFlat) continue;
    test(`${kind}: a spec that is no mapping is refused`, () => {
      for (const spec of [null, [], "x", 3]) expectRefused(documentWith(kind, spec), "wrongType", "spec: ");
    });
  }
});

describe("names of kinds", () => {
  test("kinds are found by the names that kubectl's users type, in any case", () => {
    for (const [name, kind] of [
      ["vs", "VirtualService"],
      ["DestinationRules", "DestinationRule"],
      ["serviceentries.networking.istio.io", "ServiceEntry"],
      ["peerauthenticationpolicy", "PeerAuthentication"],
      ["AP", "AuthorizationPolicy"],
    ] as const) {
      expect(findKind(name).found?.kind).toBe(kind);
    }
    expect(findKind("virtualservce")).toEqual({ suggestion: "VirtualService" });
    expect(findKind("something-else")).toEqual({ suggestion: undefined });
  });

  test("every kind's schema can be shown as JSON Schema, for OpenAPI", () => {
    for (const kind of KIND_NAMES) {
      const schema = toJsonSchema(schemaOf(kind), { errorMode: "throw" });
      expect([kind, schema.type, schema.additionalProperties]).toEqual([kind, "object", false]);
    }
  });
});
