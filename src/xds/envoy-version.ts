/** What an Envoy can do that not every supported version can, decided by its version here alone. Tried on the versions that are named. */

export interface EnvoyAbilities {
  /** envoy.access_loggers.stats: from 1.37 on; an older Envoy refuses a listener that has it. */
  readonly statsAccessLog: boolean;
}

/** The newest that weft supports. */
export const ALL_ABILITIES: EnvoyAbilities = { statsAccessLog: true };

/** `version`: "1.40.0", as Envoy's node says; one that says nothing readable is taken for the oldest. */
export function abilitiesOf(version: string): EnvoyAbilities {
  const [major = 0, minor = 0] = version.split(".").map((part) => Number.parseInt(part, 10) || 0);
  return major > 1 || minor >= 37 ? ALL_ABILITIES : WITHOUT_STATS;
}

const WITHOUT_STATS: EnvoyAbilities = { ...ALL_ABILITIES, statsAccessLog: false };
