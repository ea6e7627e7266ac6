/** The hidden verb that the shells call with the words so far; it prints one proposal a line, "word<TAB>description". */
export const COMPLETE_VERB = "__complete";
