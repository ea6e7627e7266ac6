/** Where ADS listens, and how proxies reach it there. */
import { join, resolve } from "node:path";
import type { AdsServer } from "../ads/index.ts";
import { WeftError } from "../lib/errors.ts";
import type { AdsPlaces } from "./ads-places.ts";
import { hostPort } from "./listening.ts";
import { openServerCertificate, type ServerCertificateKeeper, type ServerCertificateOptions } from "./server-certificate.ts";
import type { Listening, StartOptions } from "./start-options.ts";

export interface AdsDoorsOptions extends ServerCertificateOptions {
  readonly ads: AdsServer;
  readonly options: Pick<StartOptions, "data" | "ads" | "adsSocket" | "adsTls" | "adminTls">;
  readonly onWarning: (message: string) => void;
}

export interface AdsDoors {
  readonly places: AdsPlaces;
  /** Of the doors with TLS, the admin API's among them; undefined where there are none. */
  readonly certificate: ServerCertificateKeeper | undefined;
  readonly bound: Pick<Listening, "ads" | "ads_socket" | "ads_tls" | "ads_public_socket">;
}

/** `onClose` is told of the certificate. @throws WeftError "unavailable" */
export async function listenForProxies(
  { ads, options, svids, authority, clock, onWarning }: AdsDoorsOptions,
  onClose: (closer: () => unknown) => void,
): Promise<AdsDoors> {
  const { address: host, port } = await ads.listen(options.ads);
  const local = { host, port };
  const socket = join(options.data, "ads.sock");
  await ads.listen({ path: socket, mode: 0o660 });
  const publicSocket = options.adsSocket || undefined;
  if (publicSocket) await ads.listen({ path: publicSocket, mode: 0o666 });
  const certificate = options.adsTls || options.adminTls ? await openServerCertificate({ svids, authority, clock }) : undefined;
  onClose(() => certificate?.close());
  if (certificate && !certificate.current())
    onWarning("ADS and the admin API are not served over TLS before an authority has certified this weft");
  const tls = options.adsTls && certificate ? await ads.listen({ ...options.adsTls, tls: certificate }) : undefined;
  // Until it has found itself at the Unix socket, no user is believed there.
  await ads.selfTest().catch((reason) => onWarning(WeftError.from(reason).message));
  return {
    places: {
      local,
      socket: resolve(publicSocket ?? socket),
      ...(tls && certificate ? { tls: { port: tls.port, spiffeId: certificate.spiffeId, roots: () => authority.bundle().x509Pem } } : {}),
    },
    certificate,
    bound: {
      ads: hostPort(local),
      ads_socket: socket,
      ...(tls ? { ads_tls: hostPort({ host: tls.address, port: tls.port }) } : {}),
      ...(publicSocket ? { ads_public_socket: publicSocket } : {}),
    },
  };
}
