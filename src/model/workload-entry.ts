/** WorkloadEntry: one instance of a service, on a host or a VM. istio/api networking/v1alpha3/workload_entry.proto. */
import type * as v from "valibot";
import { fqdnError, isDnsLabel, isIpAddress } from "./check.ts";
import { checkLabels } from "./check-label.ts";
import { port } from "./common.ts";
import { type Missing, map, needed, object, type Report, text, uint32 } from "./schema.ts";

const UNIX = "unix://";

/** Istio's ValidateUnixAddress: an absolute path to a file, or an abstract socket. */
function unixError(path: string): string | undefined {
  if (path.startsWith("@")) return undefined;
  return path.startsWith("/") && !path.endsWith("/")
    ? undefined
    : "after unix:// there must be an absolute path of a file, or @ and a name";
}

function checkAddress(address: string, report: Report): void {
  if (address === "") report("badAddress", "must not be empty");
  else if (address.startsWith(UNIX)) {
    const error = unixError(address.slice(UNIX.length));
    if (error) report("badAddress", error);
  } else if (!isIpAddress(address) && fqdnError(address)) {
    const help = /:\d+$/.test(address) ? "the port goes under ports" : undefined;
    report("badAddress", `${JSON.stringify(address)} is neither an IP address nor a DNS name`, { help });
  }
}

/** Port names are DNS labels (Istio's ValidatePortName). */
export function checkPortName(name: string, report: Report, path: readonly (string | number)[] = [], atKey = false): void {
  if (!isDnsLabel(name)) report("badValue", `${JSON.stringify(name)} is no name of a port: use letters, digits and '-'`, { path, atKey });
}

/**
 * A service account is one segment of a SPIFFE ID's path (SPIFFE-ID, 2.2): with a slash in it, it would be a longer path, and look like somebody else's to
 * a policy that matches by its end.
 */
export const isServiceAccount = (name: string) => /^[a-zA-Z0-9._-]{1,253}$/.test(name) && name !== "." && name !== "..";

export function checkServiceAccount(name: string, report: Report): void {
  if (name === "" || isServiceAccount(name)) return;
  report("badValue", `${JSON.stringify(name.slice(0, 80))} is no name of a service account`, {
    help: "use letters, digits, '-', '_' and '.', at most 253",
  });
}

export const isUnix = (address: string) => address.startsWith(UNIX);

const unreached = ({ network }: Readonly<Record<string, unknown>>): Missing | undefined =>
  network
    ? {
        name: "notYet",
        message: "an instance without an address is reached by its network's gateway, which is not translated yet",
        help: "write address",
      }
    : undefined;

/** The shape that WorkloadEntry and the endpoints of a ServiceEntry share (Istio's validateWorkloadEntry). */
export const workloadEntry = () =>
  object(
    {
      address: needed(text(checkAddress), { name: "missing", message: "needs address", beside: unreached }),
      ports: map(port(), (ports, report) => {
        for (const name of Object.keys(ports)) checkPortName(name, report, [name], true);
      }),
      labels: map(text(), checkLabels),
      // A label of the instance, and no more: there are no gateways between networks.
      network: text(),
      locality: text(),
      weight: uint32(),
      serviceAccount: text(checkServiceAccount),
    },
    (value, report) => {
      if (isUnix(value.address) && Object.keys(value.ports ?? {}).length > 0) {
        report("exclusive", "a Unix socket has no ports", { path: ["ports"], atKey: true });
      }
    },
  );

export const WorkloadEntrySchema = workloadEntry();

export type WorkloadEntrySpec = v.InferOutput<typeof WorkloadEntrySchema>;
