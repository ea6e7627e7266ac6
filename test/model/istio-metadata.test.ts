import { describe, expect, test } from "bun:test";
import { UNHONOURED } from "../../src/model/istio-metadata.ts";
import { documentWith, problemsOf } from "./support.ts";

const SPECS = {
  WorkloadEntry: { address: "10.0.0.1" },
  WorkloadGroup: { template: { serviceAccount: "orders" } },
  ServiceEntry: {
    hosts: ["orders"],
    resolution: "STATIC",
    endpoints: [{ address: "10.0.0.1" }],
    ports: [{ number: 80, name: "http", protocol: "HTTP" }],
  },
  DestinationRule: { host: "orders" },
};
type Kind = keyof typeof SPECS;

describe("annotations and labels of Istio's", () => {
  for (const { key, kinds } of UNHONOURED) {
    const written = /[/-]$/.test(key) ? `${key}x` : key;
    for (const kind of kinds as readonly Kind[]) {
      for (const place of ["labels", "annotations"]) {
        test(`${written} among the ${place} of a ${kind} is told to be without effect`, () => {
          const [only, ...more] = problemsOf(documentWith(kind, SPECS[kind], { [place]: { [written]: "x" } }));
          expect(only).toStartWith(`warning noEffect metadata.${place}["${written}"]: `);
          expect(more).toEqual([]);
        });
      }
    }
  }

  test("what a WorkloadGroup gives to its instances is looked at too", () => {
    const spec = {
      metadata: { annotations: { "proxy.istio.io/config": "{}" }, labels: { "sidecar.istio.io/inject": "true" } },
      template: { labels: { "istio.io/use-waypoint": "w" } },
    };
    expect(problemsOf(documentWith("WorkloadGroup", spec)).map((line) => line.split(": ")[0])).toEqual([
      'warning noEffect spec.metadata.annotations["proxy.istio.io/config"]',
      'warning noEffect spec.metadata.labels["sidecar.istio.io/inject"]',
      'warning noEffect spec.template.labels["istio.io/use-waypoint"]',
    ]);
  });

  test("a resource for one revision of Istio's control plane is taken, and that is told", () => {
    const labelled = (revision: string) =>
      problemsOf(documentWith("DestinationRule", SPECS.DestinationRule, { labels: { "istio.io/rev": revision } }));
    expect(labelled("canary")).toHaveLength(1);
    expect(labelled("canary")[0]).toStartWith('warning surprising metadata.labels["istio.io/rev"]: ');
    expect(labelled("default")).toEqual([]);
  });

  test("what weft honours is told nothing of", () => {
    const labels = {
      "service.istio.io/canonical-name": "orders",
      "service.istio.io/canonical-revision": "v1",
      "security.istio.io/tlsMode": "istio",
      "topology.istio.io/subzone": "rack1",
      "istio-locality": "eu.a",
    };
    expect(problemsOf(documentWith("WorkloadEntry", SPECS.WorkloadEntry, { labels }))).toEqual([]);
  });
});
