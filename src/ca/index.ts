export { type AdminToken, openAdminToken } from "./admin-token.ts";
export { type SpiffeBundle, spiffeBundle } from "./bundle.ts";
export { generateLeafKey } from "./crypto.ts";
export { nodeDisk } from "./disk.ts";
export { verifyJwtSvid } from "./jwt-svid.ts";
export { openKeyVault, type SecretSource } from "./key-vault.ts";
export type { CaObserver } from "./lifecycle-options.ts";
export {
  DEFAULT_LIFETIMES,
  type Lifetimes,
  NOT_BEFORE_BACKDATE_MS,
  RETRY_FIRST_MS,
  RETRY_LONGEST_MS,
  X509_SVID_BOUNDS,
} from "./lifetimes.ts";
export { type LocalAuthority, type OpenedAuthority, openAuthority } from "./open-authority.ts";
export { isUnderBundle } from "./own-chain.ts";
export { parseSpiffeBundle } from "./parse-bundle.ts";
export { openSealKey, writeSealKey } from "./seal-key.ts";
export { readSecret, writeAtomically } from "./secret-file.ts";
export { createSigningRequest, readSigningRequest } from "./signing-request.ts";
export { formatSpiffeId, nodeOfSpiffeId, nodeSpiffeId, parseSpiffeId, parseTrustDomain, workloadSpiffeId } from "./spiffe-id.ts";
export { type SvidListener, SvidManager, type SvidManagerOptions, type SvidObserver } from "./svid-manager.ts";
export { TokenManager, type TokenManagerOptions } from "./token-manager.ts";
export type {
  CaReport,
  GroupIdentity,
  JwtSvid,
  Registered,
  SignedX509,
  SpiffeAuthority,
  SvidType,
  TokenHolder,
  TrustBundle,
  TrustPropagation,
  VerifiedJwtSvid,
  WorkloadIdentity,
  X509Svid,
} from "./types.ts";
export { type VerifiedX509Svid, verifyX509Svid } from "./verify-x509-svid.ts";
export { type WorkloadToken, WorkloadTokens, type WorkloadTokensOptions } from "./workload-token.ts";
export { x509SvidId } from "./x509-svid.ts";
