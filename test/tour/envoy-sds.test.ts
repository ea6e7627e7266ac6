import { describePage } from "./run-page.ts";

describePage("envoy-sds.md", 12);
