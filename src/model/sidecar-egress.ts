/** The egress listeners of a Sidecar: which services they lead to, and where they are (Istio, ValidateSidecar). */
import type * as v from "valibot";
import { isDnsLabel, isIpAddress, wildcardDomainError } from "./check.ts";
import { choice, list, needed, object, type Report, text } from "./schema.ts";
import { egressPort } from "./sidecar-port.ts";

export const NO_CAPTURE =
  "nothing intercepts connections: the application calls the outbound listener, an egress listener with a port, or an address that weft.dev/listen opens";

const UNIX = "unix://";

/** Where an egress listener is. */
export interface EgressBind {
  /** An IP address, the absolute path of a Unix socket, or "@name" of an abstract one. */
  readonly address: string;
  /** 0 with a Unix socket. */
  readonly port: number;
}

/** Istio's default for a listener that is bound (captureMode NONE), which is what every listener of weft's is. */
const LOOPBACK = "127.0.0.1";

/** Of an egress listener with a port. */
export function egressBind({ port, bind = "" }: Pick<EgressListener, "port" | "bind">): EgressBind {
  if (bind.startsWith(UNIX)) return { address: bind.slice(UNIX.length), port: 0 };
  return { address: bind || LOOPBACK, port: port?.number ?? 0 };
}

/** Why "/run/orders.sock" or "@orders" is no Unix socket's address, or undefined (Istio's ValidateUnixAddress; sun_path has 108 bytes). */
export function unixAddressError(path: string): string | undefined {
  if (!/^(?:\/|@.)/.test(path) || path.endsWith("/")) return "a Unix socket is written as unix:///PATH or unix://@NAME";
  return Buffer.byteLength(path) > 107 ? "a Unix socket's path has at most 107 bytes" : undefined;
}

const egressListener = object(
  {
    port: egressPort,
    bind: text(),
    captureMode: choice(["DEFAULT", "NONE"], { IPTABLES: NO_CAPTURE }),
    hosts: needed(list(text(checkEgressHost), checkEgressHosts)),
  },
  ({ port, bind = "", captureMode }, report) => {
    if (!port) {
      const help = "annotations weft.dev/outbound and weft.dev/listen say where calls out are taken; or write a listener for each port";
      if (bind) report("notYet", "without a port it is not translated yet", { path: ["bind"], atKey: true, help });
      if (captureMode === "NONE") report("notYet", "NONE without a port is not translated yet", { path: ["captureMode"], help });
      return;
    }
    const isUnix = bind.startsWith(UNIX);
    const number = port.number ?? 0;
    const error = isUnix ? unixAddressError(bind.slice(UNIX.length)) : undefined;
    if (error) report("badAddress", error, { path: ["bind"] });
    else if (number === 0 && !isUnix)
      report("badAddress", "port 0 stands for a Unix socket: write bind: unix:///PATH", { path: ["port", "number"] });
    else if (number !== 0 && isUnix) {
      report("badAddress", "a Unix socket has no port: write number: 0", { path: ["port", "number"] });
    } else if (!isUnix && bind !== "" && !isIpAddress(bind)) {
      report("badAddress", `${JSON.stringify(bind)} is no IP address`, {
        path: ["bind"],
        help: "write 127.0.0.1, or unix:///PATH with port 0",
      });
    }
  },
);

export type EgressListener = v.InferOutput<typeof egressListener>;

export const egressListeners = () =>
  list(egressListener, (listeners, report) => {
    const places = listeners.map((listener) => (listener.port ? listener.port.number || egressBind(listener).address : undefined));
    for (const [index, place] of places.entries()) {
      if (place === undefined) {
        if (places.indexOf(undefined) < index) report("exclusive", "only one egress listener may be without a port", { path: [index] });
        else if (index < listeners.length - 1 && places.lastIndexOf(undefined) === index)
          report("exclusive", "the egress listener without a port must be the last", { path: [index] });
      } else if (places.indexOf(place) < index) {
        const at = typeof place === "number" ? ["port", "number"] : ["bind"];
        report("duplicateItem", `${typeof place === "number" ? `port ${place}` : place} occurs twice`, { path: [index, ...at] });
      }
    }
  });

function checkEgressHost(written: string, report: Report): void {
  const slash = written.indexOf("/");
  const help = 'write NAMESPACE/DNSNAME: "./*", "*/orders.default.mesh.local", "shop/*.example.com", "~/*" for none';
  if (slash < 0) {
    report("badHost", `${JSON.stringify(written)} names no namespace`, { help });
    return;
  }
  const namespace = written.slice(0, slash).replace(/^~/, "");
  const name = written.slice(slash + 1);
  if (slash === 0 || (namespace !== "" && namespace !== "*" && namespace !== "." && !isDnsLabel(namespace))) {
    report("badHost", `${JSON.stringify(written.slice(0, slash))} is no namespace`, { help });
  }
  if (name !== "*" && !name.includes(".")) report("badHost", `${JSON.stringify(name)} is a short name; a whole one is needed`, { help });
  else if (/^\*[^.]/.test(name)) report("badHost", `${JSON.stringify(name)}: a wildcard stands for a whole label`, { help });
  else {
    const error = wildcardDomainError(name);
    if (error) report("badHost", `${JSON.stringify(name)} is no host: ${error}`, { help });
  }
}

function checkEgressHosts(hosts: readonly string[], report: Report): void {
  if (hosts.length === 0) report("missing", "must have at least one host");
  const imported = hosts.filter((host) => !host.startsWith("~"));
  for (const [index, host] of hosts.entries()) {
    const namespace = host.split("/")[0] ?? "";
    const covering = ["*/*", `${namespace}/*`].find((all) => all !== host && !host.startsWith("~") && imported.includes(all));
    if (hosts.indexOf(host) < index) report("duplicateItem", `${host} occurs twice`, { path: [index], severity: "warning" });
    else if (covering) report("noEffect", `${covering} has it already`, { path: [index], severity: "warning" });
  }
}
