/** What an Envoy can do that not every supported version can, decided by its version here alone. Tried on the versions that are named. */

export interface EnvoyAbilities {
  /** envoy.access_loggers.stats: from 1.37 on; an older Envoy refuses a listener that has it. */
  readonly statsAccessLog: boolean;
  /** Its stats_scope: from 1.39 on, which deprecates stat_prefix; an older Envoy needs that. */
  readonly statsScope: boolean;
}

/** The newest that weft supports. */
export const ALL_ABILITIES: EnvoyAbilities = { statsAccessLog: true, statsScope: true };

/** `version`: "1.40.0", as Envoy's node says; one that says nothing readable is taken for the oldest. */
export function abilitiesOf(version: string): EnvoyAbilities {
  const [major = 0, minor = 0] = version.split(".").map((part) => Number.parseInt(part, 10) || 0);
  if (major > 1 || minor >= 39) return ALL_ABILITIES;
  return minor >= 37 ? WITHOUT_SCOPE : WITHOUT_STATS;
}

const WITHOUT_SCOPE: EnvoyAbilities = { ...ALL_ABILITIES, statsScope: false };
const WITHOUT_STATS: EnvoyAbilities = { ...WITHOUT_SCOPE, statsAccessLog: false };
