import { batchNormCase, batchNormHardCase, batchNormResidualCase } from "./batch-norm.ts";
import { testOp } from "./harness.ts";

testOp(batchNormCase);
testOp(batchNormResidualCase);
testOp(batchNormHardCase);
