import { describePage } from "./run-page.ts";

describePage("tour.md", 50);
