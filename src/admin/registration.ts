/** What the HTTP edge needs of WorkloadGroups: registration, tokens of groups, health. Shapes are the API's JSON. */
import type { ProbePlan } from "../lib/probe.ts";
import type { Caller } from "./context.ts";
import type { IssuedToken } from "./control-plane.ts";

type Name = { readonly namespace: string; readonly name: string };

/** Who calls: one that may do anything, or a bearer of a token that the control plane judges. */
export interface Registrar extends Caller {
  readonly isAdmin: boolean;
  /** The authorization header. */
  readonly authorization?: string;
}

export interface RegistrationBody {
  readonly group: Name;
  readonly address: string;
  readonly instance: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly locality?: string;
  /** As BootstrapPlace's. */
  readonly ads?: string;
}

export interface RegistrationAnswer {
  /** "ns/name". */
  readonly workload: string;
  /** RFC 3339: of the token in the bootstrap. */
  readonly expires: string;
  readonly bootstrap: Readonly<Record<string, unknown>>;
  /** How its application is to be asked whether it is ready; absent where the group does not say. */
  readonly probe?: ProbePlan;
}

export interface RegistrationControl {
  /** @throws WeftError "not_found" */
  issueGroupToken(
    group: Name,
    caller: Caller,
    ttlSeconds?: number,
  ): Promise<Omit<IssuedToken, "workload"> & { readonly workload_group: string }>;
  /**
   * The WorkloadEntry is made when the proxy connects with that bootstrap.
   * @throws WeftError "not_found" (no such group), "unauthenticated", "forbidden", "conflict" (the address is another's), "invalid"
   */
  register(request: RegistrationBody, caller: Registrar): Promise<RegistrationAnswer>;
  /** @throws WeftError "not_found" where no instance of a group is registered by that name, "unauthenticated", "forbidden" */
  reportHealth(workload: Name, health: { readonly ready: boolean; readonly message?: string }, caller: Registrar): Promise<void>;
}
