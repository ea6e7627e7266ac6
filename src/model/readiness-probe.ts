/** ReadinessProbe of a WorkloadGroup: how an instance's application is asked whether it is ready. Checked as Istio's validateReadinessProbe does. */
import type * as v from "valibot";
import type { ProbePlan } from "../lib/probe.ts";
import { filled, onlyOne, port } from "./common.ts";
import { choice, integer, list, needed, object, text } from "./schema.ts";

const METHODS = ["httpGet", "tcpSocket", "exec", "grpc"] as const;

/** protobuf's int32, not negative; 0 means the default. */
const count = () => integer(0, 2 ** 31 - 1);

const header = object({
  // Istio's ValidateProbeHeaderName.
  name: needed(
    text((name, report) => {
      if (!/^[-A-Za-z0-9]+$/.test(name)) report("badValue", `${JSON.stringify(name)} is no name of a header: use letters, digits and '-'`);
    }),
  ),
  value: text(),
});

/** Istio's own validation does not know grpc, which its API documents and its agent runs: here it is taken. */
export const readinessProbe = object(
  {
    initialDelaySeconds: count(),
    timeoutSeconds: count(),
    periodSeconds: count(),
    successThreshold: count(),
    failureThreshold: count(),
    httpGet: object({
      path: text(),
      port: needed(port()),
      host: text(),
      scheme: choice(["", "HTTP", "HTTPS"]),
      httpHeaders: list(header),
    }),
    tcpSocket: object({ host: text(), port: needed(port()) }),
    exec: object({
      command: needed(
        list(filled(), (command, report) => {
          if (command.length === 0) report("missing", "needs a command");
        }),
      ),
    }),
    grpc: object({ port: needed(port()), service: text() }),
  },
  (value, report) => {
    onlyOne(value, METHODS, report);
    if (!METHODS.some((method) => Object.hasOwn(value, method))) report("missing", `needs one of ${METHODS.join(", ")}`);
  },
);

/** For the instance at `address`; with the defaults of Istio's agent (pkg/istio-agent/health/health_check.go, fillInDefaults). */
export function probePlanOf(probe: v.InferOutput<typeof readinessProbe>, address: string): ProbePlan {
  const seconds = (value: number | undefined, otherwise: number) => (value || otherwise) * 1_000;
  return {
    initialDelayMs: seconds(probe.initialDelaySeconds, 0),
    timeoutMs: seconds(probe.timeoutSeconds, 1),
    periodMs: seconds(probe.periodSeconds, 10),
    successThreshold: probe.successThreshold || 1,
    failureThreshold: probe.failureThreshold || 1,
    method: methodOf(probe, address),
  };
}

function methodOf({ httpGet, tcpSocket, exec, grpc }: v.InferOutput<typeof readinessProbe>, address: string): ProbePlan["method"] {
  const hostOf = (host: string | undefined) => (host === "$(ADDRESS)" ? address : host || undefined);
  if (httpGet) {
    const { path = "", port, host, scheme, httpHeaders = [] } = httpGet;
    return {
      type: "http",
      scheme: scheme === "HTTPS" ? "https" : "http",
      host: hostOf(host),
      port,
      path: path || "/",
      headers: httpHeaders.map(({ name, value = "" }) => [name, value] as const),
    };
  }
  if (tcpSocket) return { type: "tcp", host: hostOf(tcpSocket.host), port: tcpSocket.port };
  if (grpc) return { type: "grpc", port: grpc.port, service: grpc.service ?? "" };
  return { type: "exec", command: exec?.command ?? [] };
}
