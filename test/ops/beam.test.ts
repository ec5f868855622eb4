import { advanceBeamsCase, reorderRowsCase, takeWordsCase } from "./beam.ts";
import { testOp } from "./harness.ts";

testOp(advanceBeamsCase);
testOp(reorderRowsCase);
testOp(takeWordsCase);
