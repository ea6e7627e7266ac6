import { describe, expect, test } from "bun:test";
import { parseDocuments } from "../../src/model/index.ts";
import { probeOfEntry } from "../../src/model/probe-target.ts";
import { documentWith, expectAccepted, expectRefused, problemsOf } from "./support.ts";

const APP = { "weft.dev/app": "http=127.0.0.1:9001" };
const entry = (annotations: Record<string, string>, spec: object = {}) =>
  documentWith("WorkloadEntry", { address: "10.0.0.1", ports: { http: 8080 }, ...spec }, { annotations });
const probed = (probe: string, annotations: Record<string, string> = APP, spec: object = {}) =>
  entry({ "weft.dev/node": "edge-3", "weft.dev/probe": probe, ...annotations }, spec);
const planOf = (text: string) => {
  const [resource] = parseDocuments(text, "x.yaml").resources;
  if (resource?.kind !== "WorkloadEntry") throw new Error(JSON.stringify(problemsOf(text)));
  return probeOfEntry(resource);
};
const PLACE = 'metadata.annotations["weft.dev/probe"]: weft.dev/probe: ';

describe("A workload's node", () => {
  test("is named by weft.dev/node, as weft run --node names one", () => {
    for (const node of ["edge-3", "edge-3.example.com", "7"]) expectAccepted(entry({ "weft.dev/node": node }));
    for (const node of ["", "-x", "x-", "a b", "a/b", "Edge", "x_y", "x".repeat(64)]) {
      expectRefused(entry({ "weft.dev/node": node }), "badAnnotation", 'metadata.annotations["weft.dev/node"]');
    }
  });

  test("of an instance of a group is set by weft, and its probe is the group's", () => {
    for (const annotation of ["weft.dev/node", "weft.dev/probe"]) {
      const group = documentWith("WorkloadGroup", { metadata: { annotations: { [annotation]: "{tcpSocket: {port: 1}}" } }, template: {} });
      expect(problemsOf(group)[0]).toStartWith(`badAnnotation spec.metadata.annotations["${annotation}"]: ${annotation} is`);
    }
  });
});

describe("The probe of a workload by its node", () => {
  test("is a WorkloadGroup's, as YAML or JSON, with the same defaults; it asks the application", () => {
    const wanted = {
      initialDelayMs: 0,
      timeoutMs: 1_000,
      periodMs: 10_000,
      successThreshold: 1,
      failureThreshold: 1,
      method: { type: "http", scheme: "http", host: "127.0.0.1", port: 9001, path: "/healthz", headers: [] },
    } as const;
    expect(planOf(probed("httpGet: {path: /healthz, port: 9001}"))).toEqual({ value: wanted });
    expect(planOf(probed('{"httpGet":{"path":"/healthz","port":9001}}'))).toEqual({ value: wanted });
    const all = `{initialDelaySeconds: 3, timeoutSeconds: 4, periodSeconds: 5, successThreshold: 6, failureThreshold: 7,
      httpGet: {path: /x, port: 9001, host: 127.0.0.1, scheme: HTTPS, httpHeaders: [{name: Host, value: a.b}]}}`;
    expect(planOf(probed(all))).toEqual({
      value: {
        initialDelayMs: 3_000,
        timeoutMs: 4_000,
        periodMs: 5_000,
        successThreshold: 6,
        failureThreshold: 7,
        method: { type: "http", scheme: "https", host: "127.0.0.1", port: 9001, path: "/x", headers: [["Host", "a.b"]] },
      },
    });
    expect(planOf(probed("grpc: {port: 9001, service: orders}"))).toMatchObject({
      value: { method: { type: "grpc", host: "127.0.0.1", port: 9001, service: "orders" } },
    });
  });

  test("may ask at the workload's own ports too, and where an application listens that no annotation places", () => {
    expect(planOf(probed("tcpSocket: {port: 8080}"))).toMatchObject({ value: { method: { host: "10.0.0.1", port: 8080 } } });
    expect(planOf(probed("tcpSocket: {port: 8080, host: $(ADDRESS)}"))).toMatchObject({ value: { method: { host: "10.0.0.1" } } });
    expect(planOf(probed("tcpSocket: {port: 8080}", {}))).toMatchObject({ value: { method: { host: "127.0.0.1", port: 8080 } } });
    expect(planOf(probed("tcpSocket: {port: 8080, host: 10.0.0.1}", {}))).toMatchObject({ value: { method: { host: "10.0.0.1" } } });
  });

  test("asks nowhere else: the node is not led to other places by whoever writes policies", () => {
    expectRefused(
      probed("tcpSocket: {port: 22}"),
      "badAnnotation",
      `${PLACE}port 22 is no place of this workload's: there are 127.0.0.1:9001`,
    );
    for (const host of ["169.254.169.254", "127.0.0.1", "localhost", "10.0.0.2", "db.internal", "::1"]) {
      expectRefused(probed(`tcpSocket: {port: 8080, host: "${host}"}`), "badAnnotation", `${PLACE}${host} port 8080 is no place`);
    }
    expectRefused(
      probed("tcpSocket: {port: 1}", {}, { ports: {} }),
      "badAnnotation",
      `${PLACE}port 1 is no place of this workload's: spec.ports and`,
    );
    expectRefused(probed("httpGet: {port: 8080, host: db.internal}", APP, { address: "db.internal" }), "badAnnotation", PLACE);
  });

  test("runs no commands", () => {
    expectRefused(probed("exec: {command: [reboot]}"), "badAnnotation", `${PLACE}exec: a node runs no commands`);
  });

  test("needs a node to run it", () => {
    expectRefused(
      entry({ ...APP, "weft.dev/probe": "tcpSocket: {port: 9001}" }),
      "badAnnotation",
      `${PLACE.slice(0, -2)} needs weft.dev/node`,
    );
  });

  test("is judged as a group's is, with what is wrong and where", () => {
    for (const [probe, wrong] of [
      ["", "must be one mapping"],
      ["{}", "needs one of httpGet"],
      ["{httpGet: {port: 9001}, tcpSocket: {port: 9001}}", "may have only one of"],
      ["{httpGet: {port: 70000}}", "httpGet.port: "],
      ["{httpGet: {port: 9001, pth: /x}}", "httpGet.pth: "],
      ["{tcpSocket: {port: 9001}, periodSeconds: 1.5}", "periodSeconds: "],
      ["{tcpSocket: {port: 9001", "line 1 of it: "],
      ["a: 1\n---\nb: 2", "must be one mapping"],
      [`{tcpSocket: {port: 9001}} # ${"x".repeat(4_096)}`, "has 41"],
    ] as const) {
      expectRefused(probed(probe), "badAnnotation", PLACE + wrong);
    }
    const text = `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata:
  name: x
  annotations:
    weft.dev/node: edge-3
    weft.dev/probe: "{tcpSocket: {port: 0}}"
spec: {address: 10.0.0.1}
`;
    const [found] = parseDocuments(text, "mesh.yaml").problems;
    expect([found?.file, found?.line, found?.column]).toEqual(["mesh.yaml", 7, 21]);
  });
});
