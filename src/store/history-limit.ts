/** How much of the past a store keeps; what is older is dropped by the apply that goes over it, oldest revision first. */
export interface HistoryLimit {
  readonly revisions: number;
  /** Of documents and their sources, as JSON. */
  readonly bytes: number;
}

/**
 * 10,000 revisions are years of edits made by hand and weeks of edits made by a machine every minute, at some 20 MB with documents of
 * 2 kB. The bound on bytes is for stores whose every apply is large: 256 MiB is what the disk of an edge device can spare. The newest
 * revision is always kept.
 */
export const DEFAULT_HISTORY_LIMIT: HistoryLimit = { revisions: 10_000, bytes: 256 * 1024 * 1024 };

/** Records kept in the audit. A busy mesh makes a few hundred a day; a million at some 400 bytes are as much as the history may hold. */
export const AUDIT_LIMIT = 1_000_000;

/** Changes that one answer of Store.revisions holds, where its first revision has no more: some 600 kB. */
export const MOST_CHANGES = 10_000;

/** A store whose history can be cut by hand. */
export interface Compactable {
  /** Forgets the history before the newest `keepRevisions` (at least 1); what is stored now stays. Watches from before it are lost. */
  compact(keepRevisions: number): Promise<void>;
}
