import { compatibilityPage } from "./compatibility.ts";
import { problemsPage } from "./problems.ts";

/** The pages of docs/ that come from the code, by file name. */
export const PAGES: Readonly<Record<string, () => string>> = {
  "problems.md": problemsPage,
  "istio-compatibility.md": compatibilityPage,
};
