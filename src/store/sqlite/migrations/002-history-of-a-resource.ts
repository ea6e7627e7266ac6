/** The history of one resource is found without reading everyone's. */
export const historyOfAResource = `
  CREATE INDEX history_by_resource ON history (kind, namespace, name, revision);
`;
