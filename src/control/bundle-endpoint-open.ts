/** The bundle endpoint with the certificate that was asked for, and its end. */
import type { OpenedAuthority, SvidManager } from "../ca/index.ts";
import type { Clock } from "../lib/clock.ts";
import { logger } from "../telemetry/log.ts";
import { type BundleEndpoint, type BundleEndpointSettings, listenForBundles } from "./bundle-endpoint.ts";
import { openCertificateFiles } from "./certificate-files.ts";
import { openServerCertificate } from "./server-certificate.ts";

export interface OpenBundleEndpointOptions {
  readonly svids: Pick<SvidManager, "subscribe">;
  readonly authority: OpenedAuthority;
  readonly clock: Clock;
}

/** @throws WeftError "unavailable" */
export async function openBundleEndpoint(
  settings: BundleEndpointSettings,
  { svids, authority, clock }: OpenBundleEndpointOptions,
): Promise<BundleEndpoint> {
  const log = logger("federation");
  const certificate = settings.files
    ? await openCertificateFiles({ ...settings.files, clock, onTrouble: (message) => log.error(message) })
    : await openServerCertificate({ svids, authority, clock });
  try {
    const endpoint = await listenForBundles({ ...settings, certificate, authority, clock });
    return {
      ...endpoint,
      async close() {
        certificate.close();
        await endpoint.close();
      },
    };
  } catch (reason) {
    certificate.close();
    throw reason;
  }
}
