import { describe, expect, test } from "bun:test";
import {
  CODES,
  canonicalHost,
  findCode,
  parseAddressPort,
  parseAppAnnotation,
  parseDocuments,
  parseListenAnnotation,
} from "../../src/model/index.ts";
import { documentWith, expectAccepted, expectRefused } from "./support.ts";

const workload = (annotations: Record<string, string>) =>
  documentWith("WorkloadEntry", { address: "10.0.0.1", ports: { http: 80 } }, { annotations });

describe("annotations of a WorkloadEntry", () => {
  test("an address and port is read from 127.0.0.1:80 and [::1]:80, and from nothing else", () => {
    expect(parseAddressPort("127.0.0.1:80")).toEqual({ value: { address: "127.0.0.1", port: 80 } });
    expect(parseAddressPort("[::1]:65535")).toEqual({ value: { address: "::1", port: 65535 } });
    for (const text of [
      "",
      "80",
      ":80",
      "127.0.0.1",
      "127.0.0.1:",
      "127.0.0.1:0",
      "127.0.0.1:65536",
      "::1:80",
      "[127.0.0.1]:80",
      "localhost:80",
      "127.0.0.1:8x",
    ]) {
      expect([text, "error" in parseAddressPort(text)]).toEqual([text, true]);
    }
  });

  test("weft.dev/app says where the application listens, by port name", () => {
    const parsed = parseAppAnnotation("http=127.0.0.1:9001, tcp-db=[::1]:9002, tcp-local=unix:///run/app.sock");
    expect("value" in parsed && [...parsed.value]).toEqual([
      ["http", { address: "127.0.0.1", port: 9001 }],
      ["tcp-db", { address: "::1", port: 9002 }],
      ["tcp-local", { address: "/run/app.sock", port: 0 }],
    ]);
    for (const text of [
      "http=unix://run/app.sock",
      "http=unix:///run/",
      "http=unix:///a b",
      "",
      "http",
      "=127.0.0.1:1",
      "http=9001",
      "http=127.0.0.1:1,http=127.0.0.1:2",
      "http=127.0.0.1:1,",
    ]) {
      expect([text, "error" in parseAppAnnotation(text)]).toEqual([text, true]);
    }
  });

  test("weft.dev/listen gives TCP services local addresses", () => {
    expect(parseListenAnnotation("db:5432=127.0.0.1:15432,c.example.com:6379=[::1]:6379")).toEqual({
      value: [
        { host: "db", port: 5432, address: "127.0.0.1", localPort: 15432 },
        { host: "c.example.com", port: 6379, address: "::1", localPort: 6379 },
      ],
    });
    for (const text of ["", "db=127.0.0.1:1", "db:0=127.0.0.1:1", "*x*:1=127.0.0.1:1", "a:1=127.0.0.1:1,b:2=127.0.0.1:1"]) {
      expect([text, "error" in parseListenAnnotation(text)]).toEqual([text, true]);
    }
  });

  test("those that weft knows are checked, those of others left alone", () => {
    expectAccepted(
      workload({
        "weft.dev/app": "http=127.0.0.1:9001",
        "weft.dev/outbound": "127.0.0.1:15101",
        "weft.dev/envoy-admin": "127.0.0.1:15000",
        "example.com/x": "y",
      }),
    );
    expectRefused(workload({ "weft.dev/outbound": "15101" }), "badAnnotation", 'metadata.annotations["weft.dev/outbound"]');
    expectRefused(workload({ "weft.dev/listen": "x" }), "badAnnotation", 'metadata.annotations["weft.dev/listen"]');
  });

  test("a place for Prometheus needs one for Envoy's admin interface, to which it leads", () => {
    const prometheus = { "weft.dev/prometheus": "127.0.0.1:15090" };
    expectAccepted(workload({ ...prometheus, "weft.dev/envoy-admin": "127.0.0.1:15000" }));
    expectRefused(workload(prometheus), "badAnnotation", 'metadata.annotations["weft.dev/prometheus"]');
  });

  test("a misspelt one gets a suggestion, and one on another kind is refused", () => {
    const [found] = parseDocuments(workload({ "weft.dev/aap": "x" }), "f").problems;
    expect([found?.code, found?.help]).toEqual([CODES.badAnnotation.code, "did you mean weft.dev/app?"]);
    expectRefused(
      documentWith("PeerAuthentication", {}, { annotations: { "weft.dev/app": "http=127.0.0.1:1" } }),
      "badAnnotation",
      "metadata.annotations",
    );
  });
});

describe("hosts", () => {
  test("all ways to write a service of the mesh are one host", () => {
    for (const host of [
      "orders",
      "Orders",
      "orders.default.svc",
      "orders.default.svc.cluster.local",
      "orders.default.svc.mesh.local",
      "orders.default.mesh.local",
      "orders.default.mesh.local.",
    ]) {
      expect(canonicalHost(host, "default", "mesh.local")).toBe("orders.default.mesh.local");
    }
  });

  test("other names and wildcards stay, in lower case", () => {
    for (const host of ["*", "*.example.com", "api.example.com", "*.default.mesh.local"])
      expect(canonicalHost(host, "ops", "mesh.local")).toBe(host);
    expect(canonicalHost("*.default.svc.cluster.local", "ops", "mesh.local")).toBe("*.default.mesh.local");
    expect(canonicalHost("*.cluster.local", "ops", "mesh.local")).toBe("*.mesh.local");
    expect(canonicalHost("API.Example.com", "ops", "mesh.local")).toBe("api.example.com");
  });
});

describe("the catalogue of problems", () => {
  test("every code is there once, and is found in any case", () => {
    const codes = Object.values(CODES).map(({ code }) => code);
    expect(new Set(codes).size).toBe(codes.length);
    for (const code of codes) expect(code).toMatch(/^WF\d{4}$/);
    expect(findCode("wf0102")?.title).toBe("Not translated yet");
    expect(findCode("WF9999")).toBeUndefined();
  });
});
