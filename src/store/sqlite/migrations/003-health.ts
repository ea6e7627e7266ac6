/** Where the health check writes: one row, replaced at each check (health.ts). */
export const health = `
  CREATE TABLE health (
    id      INTEGER PRIMARY KEY,
    at      TEXT NOT NULL,
    padding BLOB NOT NULL
  ) STRICT;
`;
