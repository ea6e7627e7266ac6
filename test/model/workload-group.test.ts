import { describe, expect, test } from "bun:test";
import { parseDocuments } from "../../src/model/parse.ts";
import { probePlanOf } from "../../src/model/readiness-probe.ts";
import type { Resource } from "../../src/model/resource.ts";
import { entryOfInstance, instanceName, serviceAccountOf, withAddress } from "../../src/model/workload-group.ts";
import { accepts, documentWith, problemsOf, refuses } from "./support.ts";

const probe = (method: object, more: object = {}) => ({ template: {}, probe: { ...method, ...more } });
const GET = { httpGet: { port: 8080 } };

describe("A WorkloadGroup", () => {
  accepts("WorkloadGroup", {
    "an empty template": { template: {} },
    "an address in its template, with a warning": { template: { address: "10.0.0.1" } },
    "labels and annotations for its instances": {
      metadata: { labels: { app: "web" }, annotations: { "weft.dev/app": "http=127.0.0.1:9001", "example.com/x": "y" } },
      template: {},
    },
    "a probe over HTTP": probe({
      httpGet: { path: "/ready", port: 8080, host: "127.0.0.1", scheme: "HTTPS", httpHeaders: [{ name: "x", value: "y" }] },
    }),
    "a probe of a TCP port": probe({ tcpSocket: { port: 5432 } }),
    "a probe by a command": probe({ exec: { command: ["/bin/check", "-v"] } }),
    "a probe over gRPC": probe({ grpc: { port: 9000, service: "orders" } }),
    "times and thresholds of 0, which mean the defaults": probe(GET, { periodSeconds: 0, successThreshold: 0 }),
  });
  refuses("WorkloadGroup", {
    "no template": [{}, "missing", "spec: needs template"],
    "labels that are none": [{ template: {}, metadata: { labels: { ".": "a" } } }, "badLabel", "spec.metadata.labels"],
    "labels in its template that are none": [{ template: { labels: { a: "b c" } } }, "badLabel", "spec.template.labels"],
    "weft's own annotations written wrongly": [
      { template: {}, metadata: { annotations: { "weft.dev/outbound": "15001" } } },
      "badAnnotation",
      'spec.metadata.annotations["weft.dev/outbound"]',
    ],
    "the annotation by which weft knows its entries": [
      { template: {}, metadata: { annotations: { "istio.io/autoRegistrationGroup": "x" } } },
      "badAnnotation",
      "spec.metadata.annotations",
    ],
    "a probe without a method": [probe({}), "missing", "spec.probe"],
    "a probe with two methods": [probe({ ...GET, tcpSocket: { port: 1 } }), "exclusive", "spec.probe"],
    "an HTTP probe without a port": [probe({ httpGet: {} }), "missing", "spec.probe.httpGet"],
    "an HTTP probe of port 0": [probe({ httpGet: { port: 0 } }), "outOfRange", "spec.probe.httpGet.port"],
    "an HTTP probe by another scheme": [probe({ httpGet: { port: 1, scheme: "http" } }), "notOneOf", "spec.probe.httpGet.scheme"],
    "a probe's header with an underscore": [
      probe({ httpGet: { port: 1, httpHeaders: [{ name: "a_b" }] } }),
      "badValue",
      "spec.probe.httpGet.httpHeaders[0].name",
    ],
    "a probe's header without a name": [
      probe({ httpGet: { port: 1, httpHeaders: [{ name: "" }] } }),
      "badValue",
      "spec.probe.httpGet.httpHeaders[0].name",
    ],
    "a TCP probe without a port": [probe({ tcpSocket: {} }), "missing", "spec.probe.tcpSocket"],
    "a probe by no command": [probe({ exec: { command: [] } }), "missing", "spec.probe.exec.command"],
    "negative seconds": [probe(GET, { timeoutSeconds: -1 }), "outOfRange", "spec.probe.timeoutSeconds"],
    "a negative threshold": [probe(GET, { failureThreshold: -1 }), "outOfRange", "spec.probe.failureThreshold"],
  });

  test("may say which labels its instances set themselves, and nothing else that is a WorkloadEntry's", () => {
    const annotated = (annotations: object) => problemsOf(documentWith("WorkloadGroup", { template: {} }, { annotations }));
    expect(annotated({ "weft.dev/instance-labels": "version,example.com/track" })).toEqual([]);
    expect(annotated({ "weft.dev/instance-labels": "a b" })[0]).toStartWith("badAnnotation");
    expect(annotated({ "weft.dev/app": "http=127.0.0.1:1" })[0]).toContain("under spec.metadata.annotations");
  });

  test("gives an instance labels of its template, then those of its metadata, then the instance's own", () => {
    const entry = entryOf(
      { metadata: { labels: { b: "group", c: "group" } }, template: { labels: { a: "template", b: "template" }, weight: 3 } },
      { c: "instance" },
    );
    expect(entry.spec).toEqual({
      address: "10.0.0.5",
      labels: { a: "template", b: "group", c: "instance" },
      weight: 3,
      serviceAccount: "default",
    });
    expect(entry.metadata.annotations).toEqual({ "istio.io/autoRegistrationGroup": "web" });
  });

  test("may say $(ADDRESS) where an instance's address is meant, so that several can be on one machine", () => {
    const annotations = { "weft.dev/outbound": "$(ADDRESS):15001", "weft.dev/app": "http=$(ADDRESS):9001" };
    expect(entryOf({ metadata: { annotations }, template: {} }, {}).metadata.annotations).toMatchObject({
      "weft.dev/outbound": "10.0.0.5:15001",
      "weft.dev/app": "http=10.0.0.5:9001",
    });
    expect(withAddress("$(ADDRESS):1", "fd00::5")).toBe("[fd00::5]:1");
    expect(probePlanOf({ tcpSocket: { port: 1, host: "$(ADDRESS)" } }, "fd00::5").method).toMatchObject({ host: "fd00::5" });
  });

  test("names its instances by their address, as Istio does", () => {
    expect(instanceName("web", "10.0.0.5")).toBe("web-10.0.0.5");
    expect(instanceName("web", "fd00::5")).toBe("web-fd00--5");
    expect(instanceName("web", "fd00::")).toBe("web-fd00-0");
    expect(instanceName("a".repeat(253), "10.0.0.5")).toHaveLength(253);
  });

  test("has a probe of Istio's defaults: every 10 s, 1 s long, one success and one failure decide", () => {
    expect(probePlanOf({ httpGet: { port: 80 } }, "10.0.0.5")).toEqual({
      initialDelayMs: 0,
      timeoutMs: 1_000,
      periodMs: 10_000,
      successThreshold: 1,
      failureThreshold: 1,
      method: { type: "http", scheme: "http", host: undefined, port: 80, path: "/", headers: [] },
    });
  });
});

function entryOf(spec: object, labels: Record<string, string>): Resource<"WorkloadEntry"> {
  const [group] = parseDocuments(documentWith("WorkloadGroup", spec, { name: "web" }), "x").resources;
  if (group?.kind !== "WorkloadGroup") throw new Error("no group");
  const document = entryOfInstance(group, { address: "10.0.0.5", labels }, serviceAccountOf(group.spec));
  const parsed = parseDocuments(JSON.stringify(document), "x");
  const [entry] = parsed.resources;
  if (entry?.kind !== "WorkloadEntry") throw new Error(JSON.stringify(parsed.problems));
  return entry;
}
