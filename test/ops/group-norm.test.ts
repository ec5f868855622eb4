import { groupNormCase, instanceNormCase, rmsNormCase } from "./group-norm.ts";
import { testOp } from "./harness.ts";

testOp(groupNormCase);
testOp(instanceNormCase);
testOp(rmsNormCase);
