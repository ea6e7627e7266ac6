/** The CA as a node of a mesh sees it: the whole mesh's bundle; SVIDs signed here where this node's CA signs, and by another authority elsewhere. */
import { type CaReport, type LocalAuthority, type OpenedAuthority, type SvidType, verifyJwtSvid } from "../ca/index.ts";
import type { LastingIssuer } from "../cluster/lasting-issuer.ts";
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import type { ClusterRecords } from "./cluster-records.ts";
import type { MeshTrust } from "./cluster-trust.ts";
import type { NodeCertificate } from "./node-certificate.ts";

export interface MeshAuthorityParts {
  readonly trustDomain: string;
  readonly node: string;
  readonly trust: MeshTrust;
  readonly records: Pick<ClusterRecords, "authorities">;
  readonly issuer: LastingIssuer;
  readonly certificate: NodeCertificate;
  /** Of an authority. */
  readonly local: LocalAuthority | undefined;
  readonly signs: (type: SvidType) => boolean;
  /** Why this node is no part of the mesh any more; undefined where it is. */
  readonly expelled: () => WeftError | undefined;
  readonly clock: Clock;
}

export function meshAuthority({
  trustDomain,
  node,
  trust,
  records,
  issuer,
  certificate,
  local,
  signs,
  expelled,
  clock,
}: MeshAuthorityParts): OpenedAuthority {
  const bundle = () => trust.bundle();
  const mayIssue = () => {
    const reason = expelled();
    if (reason) throw reason;
  };
  const holder = (): LocalAuthority => {
    if (local) return local;
    const others = [...records.authorities.keys()].join(", ") || "none is known";
    throw new WeftError("conflict", `node ${node} holds no CA`, { help: `call an authority: ${others}` });
  };
  return {
    trustDomain,
    bundle,
    onBundle: (listener) => trust.onBundle(listener),

    async issueX509(spiffeId) {
      mayIssue();
      return local && signs("x509") ? await local.issueX509(spiffeId) : await issuer.issueX509(spiffeId);
    },
    async issueJwtSvid(spiffeId, audience) {
      mayIssue();
      return local && signs("jwt") ? await local.issueJwtSvid(spiffeId, audience) : await issuer.issueJwtSvid(spiffeId, audience);
    },
    verifyJwtSvid: (token, audience) =>
      verifyJwtSvid(token, { audience, now: clock.now(), bundleOf: (name) => (name === trustDomain ? bundle() : undefined) }),

    report() {
      const report = meshReport({ trustDomain, node, sequence: bundle().sequence, local, records });
      return { ...report, warnings: [...report.warnings, ...certificateWarnings(certificate)] };
    },
    warnings: () => [...(local?.warnings() ?? []), ...certificateWarnings(certificate)],

    async check() {
      mayIssue();
      await local?.check();
      const { notAfter, trouble } = certificate;
      if (notAfter !== undefined && clock.now() < notAfter) return;
      throw new WeftError(
        "unavailable",
        `this node's certificate has ended, and was not renewed: ${trouble?.message ?? "it is being renewed"}`,
        {
          help: trouble?.help ?? "an authority must be reachable: weft nodes lists them",
        },
      );
    },
    rotate: async (types) => await holder().rotate(types),
    run: async () => await local?.run(),
    start: () => local?.start(),
    close: () => local?.close(),
  };
}

function certificateWarnings({ trouble }: NodeCertificate) {
  if (!trouble) return [];
  const { message, help = "an authority must be reachable: weft nodes lists them" } = trouble;
  return [{ code: "node-certificate", message: `this node's certificate could not be renewed: ${message}`, help }];
}

/** This node's authorities with all that is known of them, the others' as they published them. */
function meshReport({
  trustDomain,
  node,
  sequence,
  local,
  records,
}: Pick<MeshAuthorityParts, "trustDomain" | "node" | "local" | "records"> & { readonly sequence: number }): CaReport {
  const own = local?.report();
  const others = [...records.authorities].filter(([name, { removedAt }]) => removedAt === undefined && (name !== node || !own));
  const all = (type: SvidType) => [
    ...(own?.[type] ?? []).map((one) => ({ ...one, node })),
    ...others.flatMap(([name, { reports }]) => reports[type].map((one) => ({ ...one, node: name }))),
  ];
  return { trustDomain, sequence, x509: all("x509"), jwt: all("jwt"), rotations: own?.rotations ?? [], warnings: own?.warnings ?? [] };
}
