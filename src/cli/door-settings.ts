/** The settings of `weft run` that are about its doors besides the two on loopback: TLS, and who is believed there. */
import { parseSvidPrincipals, type SvidPrincipal } from "../admin/svid-principals.ts";

interface HostPort {
  readonly host: string;
  readonly port: number;
}

export interface DoorSettings {
  /** Where ADS is served over TLS; null: nowhere. */
  readonly adsTls: HostPort | null;
  /** Where the admin API is served over TLS; null: nowhere. */
  readonly adminTls: HostPort | null;
  /** Path of a further Unix socket for ADS, which every user may open; "" for none. */
  readonly adsSocket: string;
  /** Who may call the admin API by an X.509-SVID, and what. */
  readonly adminPrincipals: readonly SvidPrincipal[];
}

export const DOOR_VARIABLES: Readonly<Record<keyof DoorSettings, string>> = {
  adsTls: "WEFT_ADS_TLS",
  adminTls: "WEFT_ADMIN_TLS",
  adsSocket: "WEFT_ADS_SOCKET",
  adminPrincipals: "WEFT_ADMIN_PRINCIPALS",
};

type Pick = <T>(key: keyof DoorSettings, fallback: string, read: (text: string) => T | undefined, expected: string) => T;

/** @throws WeftError "invalid" */
export function readDoorSettings(pick: Pick, parse: (text: string) => HostPort | undefined): DoorSettings {
  const place = (text: string) => (text === "" ? null : parse(text));
  return {
    adsTls: pick("adsTls", "", place, "ADDRESS:PORT"),
    adminTls: pick("adminTls", "", place, "ADDRESS:PORT"),
    adsSocket: pick("adsSocket", "", (text) => (text === "" || text.startsWith("/") ? text : undefined), "an absolute path"),
    adminPrincipals: pick(
      "adminPrincipals",
      "",
      parseSvidPrincipals,
      "SPIFFE IDs with roles, such as spiffe://mesh.local/ns/ops/sa/deployer=editor:shop,pay;spiffe://mesh.local/ns/ops/sa/root=admin",
    ),
  };
}
