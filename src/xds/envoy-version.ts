/** What an Envoy can do that not every supported version can, decided by its version here alone. Tried on the versions that are named. */

export interface EnvoyAbilities {
  /** envoy.access_loggers.stats: from 1.37 on; an older Envoy refuses a listener that has it. */
  readonly statsAccessLog: boolean;
  /** Virtual hosts as resources of an aggregated stream (VHDS): from 1.37 on, and over delta alone; an older Envoy refuses the route configuration. */
  readonly virtualHosts: boolean;
}

/** Of the newest that weft supports, whichever variant of the protocol it speaks. */
export const ALL_ABILITIES: EnvoyAbilities = { statsAccessLog: true, virtualHosts: false };

/** `version`: "1.40.0", as Envoy's node says; one that says nothing readable is taken for the oldest. */
export function abilitiesOf(version: string, protocol: "delta" | "sotw" = "sotw"): EnvoyAbilities {
  const [major = 0, minor = 0] = version.split(".").map((part) => Number.parseInt(part, 10) || 0);
  if (major <= 1 && minor < 37) return OLDEST;
  return protocol === "delta" ? OVER_DELTA : ALL_ABILITIES;
}

const OLDEST: EnvoyAbilities = { statsAccessLog: false, virtualHosts: false };
const OVER_DELTA: EnvoyAbilities = { ...ALL_ABILITIES, virtualHosts: true };
