/** The setting of `weft run` by which weft is a workload of its own mesh: where its sidecar takes calls. */
import { networkInterfaces } from "node:os";
import { WeftError } from "../lib/errors.ts";
import { isIpAddress } from "../model/check.ts";

interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** As others reach this node: an address of it, never "any". Null: weft is in no mesh. */
export interface InMeshSettings {
  readonly inMesh: HostPort | null;
}

export const IN_MESH_VARIABLES: Readonly<Record<keyof InMeshSettings, string>> = { inMesh: "WEFT_IN_MESH" };

/** The admin API's usual port: at the node's address it is free, as the API itself is on loopback. */
const PORT = 15014;
/** A flag without a value. */
export const CHOOSE = "auto";
const ANY: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);

type Pick = <T>(key: keyof InMeshSettings, fallback: string, read: (text: string) => T | undefined, expected: string) => T;

/**
 * @param doors This node's other doors, whose address is taken where none is given
 * @throws WeftError "invalid"
 */
export function readInMesh(
  pick: Pick,
  parse: (text: string) => HostPort | undefined,
  doors: readonly (HostPort | null)[],
  addresses: () => readonly string[] = ownAddresses,
): InMeshSettings {
  const read = (text: string): HostPort | typeof CHOOSE | null | undefined => {
    if (text === "") return null;
    if (text === CHOOSE) return CHOOSE;
    const place = isIpAddress(text) ? { host: text, port: PORT } : parse(text);
    return place && place.port > 0 && isIpAddress(place.host) && !ANY.has(place.host) ? place : undefined;
  };
  const asked = pick("inMesh", "", read, `an IP address of this machine, with or without a port, or ${CHOOSE}`);
  return { inMesh: asked === CHOOSE ? { host: chosen(doors, addresses()), port: PORT } : asked };
}

function chosen(doors: readonly (HostPort | null)[], addresses: readonly string[]): string {
  const named = doors.find((door) => door !== null && isIpAddress(door.host) && !ANY.has(door.host))?.host;
  const [only, ...more] = named === undefined ? addresses : [named];
  if (only !== undefined && more.length === 0) return only;
  const found = only === undefined ? "has none besides loopback's" : `has ${addresses.join(", ")}`;
  throw new WeftError("invalid", `--in-mesh needs the address of this machine by which others reach it: it ${found}`, {
    help: "name it: --in-mesh ADDRESS",
  });
}

/** IPv4 addresses besides loopback's and those of one link. */
function ownAddresses(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((all = []) =>
    all.flatMap(({ family, internal, address }) => (family === "IPv4" && !internal && !address.startsWith("169.254.") ? [address] : [])),
  );
}
