/** ADS, from the outside: the server, and what its ledger tells. */
export type { LedgerReader, NackRecord, ProxyRecord, SyncStatus, TypeRecord } from "./ledger.ts";
export { type AdsServer, type AdsServerOptions, createAdsServer } from "./server.ts";
export type * from "./types.ts";
