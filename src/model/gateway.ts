/**
 * Gateway: what a gateway proxy takes in, from outside the mesh or on its way out. istio/api networking/v1alpha3/gateway.proto, checked as
 * Istio's ValidateGateway does.
 */
import type * as v from "valibot";
import { checkHost, isDnsLabel, isIpAddress } from "./check.ts";
import { warnOfSelector } from "./check-label.ts";
import { port } from "./common.ts";
import { type ServerTls, serverTls } from "./gateway-tls.ts";
import { list, map, needed, notYet, object, type Report, text } from "./schema.ts";

const HTTP = ["HTTP", "HTTP2", "GRPC", "GRPC-WEB"];
const TLS = ["HTTPS", "TLS"];
const PROTOCOLS = [...HTTP, ...TLS, "TCP", "MONGO", "MYSQL", "REDIS"];

/** Istio's protocol.Parse ignores case. */
function checkProtocol(protocol: string, report: Report): void {
  const name = protocol.toUpperCase();
  if (PROTOCOLS.includes(name)) return;
  if (name === "UDP" || name === "HTTP_PROXY") report("notYet", `${protocol} is not translated yet`, { help: "write TCP or HTTP" });
  else report("notOneOf", `must be one of ${PROTOCOLS.join(", ")}, not ${JSON.stringify(protocol)}`);
}

const serverPort = object({
  number: needed(port()),
  protocol: needed(text(checkProtocol)),
  name: needed(
    text((name, report) => {
      if (name === "") report("missing", "must not be empty");
    }),
  ),
  targetPort: notYet("Istio refuses it too: it means nothing at a gateway"),
});

const server = object(
  {
    name: text(),
    port: needed(serverPort),
    bind: text(checkBind),
    hosts: needed(list(text(checkServerHost))),
    tls: serverTls,
    defaultEndpoint: notYet("Istio does not use it: write the route of a VirtualService"),
  },
  checkServer,
);

export const GatewaySchema = object(
  { servers: needed(list(server, checkServers)), selector: map(text(), warnOfSelector) },
  (spec: { readonly servers: readonly unknown[] }, report) => {
    if (spec.servers.length === 0) report("missing", "must have at least one server", { path: ["servers"] });
  },
);

export type GatewaySpec = v.InferOutput<typeof GatewaySchema>;
export type GatewayServer = v.InferOutput<typeof server>;

function checkBind(bind: string, report: Report): void {
  if (bind === "" || isIpAddress(bind)) return;
  if (bind.startsWith("unix://"))
    report("notYet", "a Unix socket is not translated yet", { help: "write an IP address of the gateway's host" });
  else report("badAddress", `must be an IP address, not ${JSON.stringify(bind)}`);
}

/** Istio's ValidateNamespaceSlashWildcardHostname for gateways. */
function checkServerHost(text: string, report: Report): void {
  const slash = text.indexOf("/");
  const namespace = slash < 0 ? "*" : text.slice(0, slash);
  const host = text.slice(slash + 1);
  if (namespace !== "*" && namespace !== "." && !isDnsLabel(namespace)) {
    report("badHost", `${JSON.stringify(namespace)} is no namespace`, { help: 'write NAMESPACE/HOST, "./HOST" or "*/HOST"' });
  }
  // An IPv6 address has no dot: Istio takes it for a short name.
  if (host === "*" || (host.includes(".") && isIpAddress(host))) return;
  if (!host.includes(".")) {
    report("badHost", `${JSON.stringify(host)} is a short name, and a gateway's hosts are whole ones`, {
      help: "write it as clients write it",
    });
  } else if (host.startsWith("*") && !host.startsWith("*.")) {
    report("badHost", `${JSON.stringify(host)}: a wildcard is a whole label`, { help: 'write "*.example.com"' });
  } else checkHost(host, report);
}

interface Server {
  readonly port: { readonly number: number; readonly protocol: string; readonly name: string };
  readonly hosts: readonly string[];
  readonly tls?: ServerTls;
}

function checkServer({ port, hosts, tls }: Server, report: Report): void {
  if (hosts.length === 0) report("missing", "must have at least one host", { path: ["hosts"] });
  const protocol = port.protocol.toUpperCase();
  if (TLS.includes(protocol)) {
    if (!tls) report("missing", `${port.protocol} needs tls`);
    else if (tls.httpsRedirect) warnRedirect(report);
    return;
  }
  if (!tls) return;
  if (!HTTP.includes(protocol)) {
    report("exclusive", `${port.protocol} has no TLS`, { path: ["tls"], atKey: true, help: "write protocol: TLS or HTTPS" });
    return;
  }
  const isPlain = (tls.mode ?? "PASSTHROUGH") === "PASSTHROUGH";
  const names = [tls.caCertificates, tls.privateKey, tls.serverCertificate, tls.credentialName, tls.credentialNames?.length];
  if (!isPlain || names.some(Boolean)) {
    report("exclusive", `plain ${port.protocol} takes tls.httpsRedirect only`, {
      path: ["tls"],
      atKey: true,
      help: "write protocol: HTTPS",
    });
  }
}

function warnRedirect(report: Report): void {
  const message = "has no effect here: plain HTTP is what is redirected";
  report("noEffect", message, {
    path: ["tls", "httpsRedirect"],
    atKey: true,
    severity: "warning",
    help: "write it at a server with protocol: HTTP",
  });
}

function checkServers(servers: readonly Server[], report: Report): void {
  const names = new Set<string>();
  for (const [index, { port }] of servers.entries()) {
    if (names.has(port.name)) {
      report("duplicateItem", `port name ${JSON.stringify(port.name)} occurs twice`, { path: [index, "port", "name"] });
    }
    names.add(port.name);
  }
}
