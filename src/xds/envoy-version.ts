/** What an Envoy can do that not every supported version can, decided by its version here alone. Tried on the versions that are named. */

export interface EnvoyAbilities {
  /** envoy.access_loggers.stats: from 1.37 on; an older Envoy refuses a listener that has it. */
  readonly statsAccessLog: boolean;
  /** Its stats_scope: from 1.39 on, which deprecates stat_prefix; an older Envoy needs that. */
  readonly statsScope: boolean;
  /** Virtual hosts as resources of an aggregated stream (VHDS): from 1.37 on, and over delta alone; an older Envoy refuses the route configuration. */
  readonly virtualHosts: boolean;
}

/** Of the newest that weft supports, whichever variant of the protocol it speaks. */
export const ALL_ABILITIES: EnvoyAbilities = { statsAccessLog: true, statsScope: true, virtualHosts: false };

/** `version`: "1.40.0", as Envoy's node says; one that says nothing readable is taken for the oldest. */
export function abilitiesOf(version: string, protocol: "delta" | "sotw" = "sotw"): EnvoyAbilities {
  const [major = 0, minor = 0] = version.split(".").map((part) => Number.parseInt(part, 10) || 0);
  const virtualHosts = protocol === "delta";
  if (major > 1 || minor >= 39) return virtualHosts ? OVER_DELTA : ALL_ABILITIES;
  if (minor >= 37) return virtualHosts ? OLDER_OVER_DELTA : WITHOUT_SCOPE;
  return OLDEST;
}

const OVER_DELTA: EnvoyAbilities = { ...ALL_ABILITIES, virtualHosts: true };
const WITHOUT_SCOPE: EnvoyAbilities = { ...ALL_ABILITIES, statsScope: false };
const OLDER_OVER_DELTA: EnvoyAbilities = { ...WITHOUT_SCOPE, virtualHosts: true };
const OLDEST: EnvoyAbilities = { ...WITHOUT_SCOPE, statsAccessLog: false };
