/** networking's SidecarPort. */
import { integer, needed, notYet, object, type Report, text } from "./schema.ts";
import { checkProtocol, PROTOCOLS } from "./service-entry.ts";
import { checkPortName } from "./workload-entry.ts";

interface Port {
  readonly number?: number;
  readonly protocol?: string;
  readonly name?: string;
}

const fields = (isProtocol: (protocol: string, report: Report) => void) => ({
  protocol: text((protocol, report) => {
    if (protocol !== "") isProtocol(protocol, report);
  }),
  name: text((name, report) => {
    if (name !== "") checkPortName(name, report);
  }),
  targetPort: notYet("Istio refuses it too: it means nothing at a Sidecar, write defaultEndpoint"),
});

function checkHasProtocol({ protocol }: Port, report: Report): void {
  if (protocol) return;
  report("surprising", "has no protocol, and weft does not detect protocols: it goes by the port's name, else TCP", {
    severity: "warning",
    help: "write protocol: HTTP, or what it is",
  });
}

/** The protocol as written, in capitals; else by the port's name ("http-api"), else TCP. */
export function listenerProtocol({ protocol, name = "" }: Port): string {
  const named = name.toUpperCase();
  return (
    protocol?.toUpperCase() ||
    (/^GRPC-WEB(?:-|$)/.test(named) ? "GRPC-WEB" : PROTOCOLS.find((known) => known === named.split("-")[0])) ||
    "TCP"
  );
}

export const ingressPort = object({ number: needed(integer(1, 65535)), ...fields(checkProtocol) }, checkHasProtocol);

/** 0, or no number, stands for a Unix socket; it may be an HTTP proxy. */
export const egressPort = object(
  {
    number: integer(0, 65535),
    ...fields((protocol, report) => {
      if (protocol.toUpperCase() !== "HTTP_PROXY") checkProtocol(protocol, report);
    }),
  },
  checkHasProtocol,
);
