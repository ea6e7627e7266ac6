/** Access tokens as the admin API shows them. */
import type { AccessControl, AccessReport } from "../admin/control-plane.ts";
import type { AccessToken, AccessTokens } from "./access-tokens.ts";
import { timestamp } from "./proxy-status.ts";

export function accessControl(tokens: AccessTokens): AccessControl {
  return {
    list: () => tokens.list().map(reportOf),
    async create(wanted, caller) {
      const { token, ...made } = await tokens.create(wanted, caller);
      return { ...reportOf(made), token };
    },
    revoke: async (name, caller) => reportOf(await tokens.revoke(name, caller)),
    authenticate: (presented) => tokens.authenticate(presented),
  };
}

function reportOf({ createdAt, expiresAt, createdBy, revokedAt, ...rest }: AccessToken): AccessReport {
  const revoked = revokedAt === undefined ? {} : { revoked: timestamp(revokedAt) };
  return { ...rest, created: timestamp(createdAt), expires: timestamp(expiresAt), created_by: createdBy, ...revoked };
}
