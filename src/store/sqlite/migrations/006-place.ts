/** Where in a shared log (store/shared/log.ts) this database stands; no row where it follows none. */
export const place = `
  CREATE TABLE place (
    id                INTEGER PRIMARY KEY CHECK (id = 1),
    engine            TEXT NOT NULL,
    log               TEXT NOT NULL,
    sequence          INTEGER NOT NULL,
    entry             TEXT NOT NULL,
    bytes             INTEGER NOT NULL,
    snapshot_sequence INTEGER NOT NULL,
    snapshot_bytes    INTEGER NOT NULL,
    snapshot_size     INTEGER NOT NULL,
    seen_at           TEXT NOT NULL
  ) STRICT;
`;
