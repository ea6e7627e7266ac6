/** What is stored now, every revision that led to it, and the counters of both. */
export const resourcesAndHistory = `
  CREATE TABLE meta (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    revision      INTEGER NOT NULL,
    compacted     INTEGER NOT NULL,
    history_bytes INTEGER NOT NULL
  ) STRICT;
  INSERT INTO meta VALUES (1, 0, 0, 0);

  CREATE TABLE resources (
    kind       TEXT NOT NULL,
    namespace  TEXT NOT NULL,
    name       TEXT NOT NULL,
    document   TEXT NOT NULL,
    hash       TEXT NOT NULL,
    source     TEXT NOT NULL,
    uid        TEXT NOT NULL UNIQUE,
    revision   INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    checksum   TEXT NOT NULL,
    PRIMARY KEY (kind, namespace, name)
  ) STRICT;

  CREATE TABLE history (
    id                INTEGER PRIMARY KEY,
    revision          INTEGER NOT NULL,
    sequence          INTEGER NOT NULL,
    action            TEXT NOT NULL CHECK (action IN ('created', 'updated', 'deleted')),
    who               TEXT NOT NULL,
    at                TEXT NOT NULL,
    kind              TEXT NOT NULL,
    namespace         TEXT NOT NULL,
    name              TEXT NOT NULL,
    document          TEXT NOT NULL,
    hash              TEXT NOT NULL,
    source            TEXT NOT NULL,
    uid               TEXT NOT NULL,
    resource_revision INTEGER NOT NULL,
    created_at        TEXT NOT NULL,
    updated_at        TEXT NOT NULL,
    bytes             INTEGER NOT NULL,
    UNIQUE (revision, sequence)
  ) STRICT;
`;
