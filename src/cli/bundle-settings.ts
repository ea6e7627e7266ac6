/** The settings of `weft run` that are about the bundle endpoint, from which other trust domains fetch this one's bundle. */
import { parsePeriod } from "../lib/duration.ts";
import { WeftError } from "../lib/errors.ts";

export interface BundleSettings {
  /** Nowhere where null. */
  readonly bundleEndpoint: { readonly host: string; readonly port: number } | null;
  /** Paths, "" where there is none: then weft's own SVID. */
  readonly bundleEndpointCertificate: string;
  readonly bundleEndpointKey: string;
  /** Milliseconds. */
  readonly bundleRefreshHint: number;
}

export const BUNDLE_VARIABLES: Readonly<Record<keyof BundleSettings, string>> = {
  bundleEndpoint: "WEFT_BUNDLE_ENDPOINT",
  bundleEndpointCertificate: "WEFT_BUNDLE_ENDPOINT_CERTIFICATE",
  bundleEndpointKey: "WEFT_BUNDLE_ENDPOINT_KEY",
  bundleRefreshHint: "WEFT_BUNDLE_REFRESH_HINT",
};

/** Below, every poll is an attack; above, a forced rotation of the CA takes longer than anybody waits. */
const HINT = { shortest: 5_000, longest: 3_600_000 } as const;

type Pick = <T>(key: keyof BundleSettings, fallback: string, read: (text: string) => T | undefined, expected: string) => T;
type HostPort = (text: string) => { readonly host: string; readonly port: number } | undefined;

/** @throws WeftError "invalid" */
export function readBundleSettings(pick: Pick, parseHostPort: HostPort): BundleSettings {
  const settings: BundleSettings = {
    bundleEndpoint: pick("bundleEndpoint", "", (text) => (text === "" ? null : parseHostPort(text)), "ADDRESS:PORT"),
    bundleEndpointCertificate: pick("bundleEndpointCertificate", "", (text) => text, "a file"),
    bundleEndpointKey: pick("bundleEndpointKey", "", (text) => text, "a file"),
    bundleRefreshHint: pick("bundleRefreshHint", "5m", hintOf, "a duration from 5s to 1h"),
  };
  const { bundleEndpointCertificate: certificate, bundleEndpointKey: key } = settings;
  if ((certificate === "") !== (key === "")) {
    throw new WeftError("invalid", "bundleEndpointCertificate and bundleEndpointKey go together", {
      help: "give both to serve by web PKI (https_web), or none to serve with weft's own SVID (https_spiffe)",
    });
  }
  return settings;
}

function hintOf(text: string): number | undefined {
  const milliseconds = parsePeriod(text);
  return milliseconds !== undefined && milliseconds >= HINT.shortest && milliseconds <= HINT.longest ? milliseconds : undefined;
}

/** As the control plane takes them. */
export function bundleEndpointOf({
  bundleEndpoint,
  bundleEndpointCertificate: certificate,
  bundleEndpointKey: key,
  bundleRefreshHint: refreshHintMs,
}: BundleSettings) {
  if (bundleEndpoint === null) return { bundleEndpoint: undefined };
  return { bundleEndpoint: { ...bundleEndpoint, refreshHintMs, ...(certificate === "" ? {} : { files: { certificate, key } }) } };
}
