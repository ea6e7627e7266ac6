import { readdirSync } from "node:fs";
import { join } from "node:path";

/** The file of the key that signs X.509-SVIDs, in a data directory in which no rotation is under way. */
export function caKeyFile(data: string): string {
  const names = readdirSync(join(data, "ca")).filter((name) => /^x509-\w+\.key$/.test(name));
  if (names.length !== 1) throw new Error(`there are ${names.length} keys of X.509 authorities in ${data}`);
  return join(data, "ca", names[0] ?? "");
}
