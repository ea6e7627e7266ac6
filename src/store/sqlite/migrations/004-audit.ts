/** The audit log (lib/audit.ts), and the newest record that was dropped from it. */
export const audit = `
  CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY,
    at       TEXT NOT NULL,
    revision INTEGER NOT NULL,
    event    TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash     TEXT NOT NULL
  ) STRICT;

  CREATE TABLE audit_marks (
    mark     TEXT PRIMARY KEY CHECK (mark IN ('head', 'anchor')),
    sequence INTEGER NOT NULL,
    hash     TEXT NOT NULL
  ) STRICT;
  INSERT INTO audit_marks VALUES ('head', 0, '0000000000000000000000000000000000000000000000000000000000000000');
  INSERT INTO audit_marks VALUES ('anchor', 0, '0000000000000000000000000000000000000000000000000000000000000000');
`;
