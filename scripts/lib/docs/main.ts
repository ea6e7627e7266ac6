/** Writes the generated pages. */
import { join } from "node:path";
import { PAGES } from "./pages.ts";

const docs = join(import.meta.dir, "../../../docs");
for (const [file, render] of Object.entries(PAGES)) {
  await Bun.write(join(docs, file), render());
  console.log(`docs/${file}`);
}
