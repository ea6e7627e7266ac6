/** What weft keeps beside the resources and shows to nobody: hashes of tokens, revocations. */
export const privateRecords = `
  CREATE TABLE private (
    collection TEXT NOT NULL,
    id         TEXT NOT NULL,
    value      TEXT NOT NULL,
    PRIMARY KEY (collection, id)
  ) STRICT;
`;
