/** The five calls of the Workload API, for a caller whose process is known. */
import { create, type JsonObject, type MessageInitShape } from "@bufbuild/protobuf";
import { parseSpiffeId, verifyJwtSvid } from "../ca/index.ts";
import {
  type JWTSVIDRequest,
  JWTSVIDResponseSchema,
  type JWTSVIDSchema,
  type ValidateJWTSVIDRequest,
  ValidateJWTSVIDResponseSchema,
} from "../gen/spiffe/workload_pb.ts";
import { WeftError } from "../lib/errors.ts";
import type { Attestation } from "./attest.ts";
import { type State, Wake } from "./follow.ts";
import type { JwtSvids } from "./jwt-svids.ts";
import type { WorkloadApiLimits } from "./limits.ts";
import { jwtBundlesResponse, x509BundlesResponse, x509SvidResponse } from "./messages.ts";
import { type Entitlement, entitlementsOf, type Surroundings } from "./registrations.ts";
import type { WorkloadApiOptions } from "./types.ts";
import { CallersSvids } from "./x509-svids.ts";

export interface CallParts extends Pick<WorkloadApiOptions, "registrations" | "bundles" | "svids" | "clock"> {
  readonly limits: WorkloadApiLimits;
  readonly surroundings: Surroundings;
  readonly jwtSvids: JwtSvids;
  /** A process has more identities than one response holds. */
  readonly tooMany: (who: string, count: number) => void;
}

/** What a stream looks at, and what wakes it. */
export interface Source<Message> {
  readonly wake: Wake;
  look(): Promise<State<Message>>;
  close(): void;
}

/** What is about to be given out, for the audit, before it is. */
type Issuing = (svids: readonly string[]) => Promise<void>;

/** @throws WeftError "forbidden" where nobody, or nobody any more, is entitled to anything; "unavailable" before the first load */
export async function entitled(
  caller: Attestation,
  { registrations, surroundings, limits, tooMany }: CallParts,
): Promise<readonly Entitlement[]> {
  const all = registrations();
  if (!all) throw new WeftError("unavailable", "weft is still loading its registrations: try again");
  const found = await entitlementsOf(caller.process(), all, surroundings);
  // A second look: what was found may have taken a while, and an identity goes to the process that asked, or to nobody.
  caller.process();
  if (found.length === 0) throw new WeftError("forbidden", "no identity is registered for the calling process");
  if (found.length > limits.maxIdentities) tooMany(caller.who, found.length);
  return found.slice(0, limits.maxIdentities);
}

export function x509Svids(caller: Attestation, parts: CallParts) {
  const wake = new Wake();
  const own = new CallersSvids(parts, wake.wake);
  return {
    wake,
    async look() {
      const entitlements = await entitled(caller, parts);
      const svids = await own.of(entitlements, parts.limits.firstSvidMs);
      const [bundle, federated] = [parts.bundles.own(), parts.bundles.federated()];
      return {
        version: JSON.stringify([entitlements, svids.map(({ serial }) => serial), [bundle, ...federated].map(x509Version)]),
        message: x509SvidResponse(entitlements, svids, bundle, federated),
        svids: svids.map(({ spiffeId, serial }) => `X.509-SVID ${spiffeId} serial ${serial}`),
      };
    },
    close: () => own.close(),
  } satisfies Source<unknown>;
}

type Bundle = ReturnType<WorkloadApiOptions["bundles"]["own"]>;
const x509Version = ({ trustDomain, x509Pem }: Bundle) => [trustDomain, x509Pem];
const jwtVersion = ({ trustDomain, jwt }: Bundle) => [trustDomain, jwt];

export const x509Bundles = (caller: Attestation, parts: CallParts) => bundles(caller, parts, x509BundlesResponse, x509Version);
export const jwtBundles = (caller: Attestation, parts: CallParts) => bundles(caller, parts, jwtBundlesResponse, jwtVersion);

function bundles<Message>(
  caller: Attestation,
  parts: CallParts,
  toMessage: (all: readonly Bundle[]) => Message,
  versionOf: (bundle: Bundle) => unknown,
): Source<Message> {
  return {
    wake: new Wake(),
    async look() {
      await entitled(caller, parts);
      const all = [parts.bundles.own(), ...parts.bundles.federated()];
      return { version: JSON.stringify(all.map(versionOf)), message: toMessage(all) };
    },
    close() {},
  };
}

/** @throws WeftError "invalid", "forbidden", "unavailable" */
export async function fetchJwtSvid(caller: Attestation, { audience, spiffeId }: JWTSVIDRequest, parts: CallParts, issuing: Issuing) {
  if (audience.length === 0) throw new WeftError("invalid", "audience is missing: name the service that the token is for");
  if (spiffeId !== "") parseSpiffeId(spiffeId);
  const all = await entitled(caller, parts);
  const wanted = spiffeId === "" ? all : all.filter((one) => one.spiffeId === spiffeId);
  if (wanted.length === 0) throw new WeftError("forbidden", "the requested SPIFFE ID is not the calling process's");
  const tokens = await Promise.all(wanted.map((one) => parts.jwtSvids.get(one.spiffeId, audience)));
  await issuing(wanted.map((one) => `JWT-SVID ${one.spiffeId} for ${audience.join(", ").slice(0, LONGEST_SHOWN)}`));
  return create(JWTSVIDResponseSchema, {
    svids: wanted.map(
      ({ spiffeId: id, hint }, index): MessageInitShape<typeof JWTSVIDSchema> => ({
        spiffeId: id,
        svid: tokens[index]?.token ?? "",
        hint,
      }),
    ),
  });
}

/** Of what a caller wrote, in the audit. */
const LONGEST_SHOWN = 200;

/** @throws WeftError "invalid" saying what is wrong with the token; "forbidden", "unavailable" */
export async function validateJwtSvid(caller: Attestation, { audience, svid }: ValidateJWTSVIDRequest, parts: CallParts) {
  if (audience === "") throw new WeftError("invalid", "audience is missing: name the service that validates");
  if (svid === "") throw new WeftError("invalid", "svid is missing: give the token to validate");
  await entitled(caller, parts);
  const all = [parts.bundles.own(), ...parts.bundles.federated()];
  try {
    const { spiffeId, claims } = await verifyJwtSvid(svid, {
      audience,
      now: parts.clock.now(),
      bundleOf: (trustDomain) => all.find((one) => one.trustDomain === trustDomain),
    });
    return create(ValidateJWTSVIDResponseSchema, { spiffeId, claims: claims as JsonObject });
  } catch (reason) {
    const { code, message } = WeftError.from(reason);
    // The caller has proven who it is: it is the token that is wrong.
    throw code === "unauthenticated" ? new WeftError("invalid", message) : reason;
  }
}
