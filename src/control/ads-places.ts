/** Where proxies reach ADS, and by what their bootstraps prove who they are. */
import type { BootstrapPlace } from "../admin/control-plane.ts";
import { WeftError } from "../lib/errors.ts";
import type { BootstrapOptions } from "../proxy/index.ts";

export interface AdsPlaces {
  /** On loopback. */
  readonly local: { readonly host: string; readonly port: number };
  /** Absolute. */
  readonly socket: string;
  /** Undefined where ADS is not served over TLS. */
  readonly tls?: {
    readonly port: number;
    /** Of weft: whom the proxy must find there. */
    readonly spiffeId: string;
    /** PEM: what it must trust now. */
    readonly roots: () => string;
  };
}

/** @throws WeftError "invalid" where `place` cannot be, "unavailable" where ADS is not served there */
export function adsOf({ local, socket, tls }: AdsPlaces, { ads, unix }: BootstrapPlace): BootstrapOptions["ads"] {
  if (unix && ads !== undefined) throw new WeftError("invalid", "ads and unix do not go together: a Unix socket is on weft's own machine");
  if (unix) return { path: socket };
  if (ads === undefined) return local;
  if (!tls) {
    throw new WeftError("unavailable", "this weft does not serve ADS over TLS, which proxies on other machines need", {
      help: "start it with --ads-tls ADDR:PORT",
    });
  }
  const [, bracketed, plain, port] = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/.exec(ads) ?? [];
  const host = bracketed ?? plain;
  const number = port === undefined ? tls.port : Number(port);
  if (host === undefined || host.length > 253 || number < 1 || number > 65_535) {
    throw new WeftError("invalid", `"${ads.slice(0, 100)}" is no HOST:PORT, by which a proxy could reach ADS`);
  }
  return { host, port: number, tls: { roots: tls.roots(), spiffeId: tls.spiffeId } };
}
