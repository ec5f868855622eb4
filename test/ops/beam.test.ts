import { addLogProbsCase, advanceBeamsCase, reorderRowsCase } from "./beam.ts";
import { testOp } from "./harness.ts";

testOp(advanceBeamsCase);
testOp(reorderRowsCase);
testOp(addLogProbsCase);
