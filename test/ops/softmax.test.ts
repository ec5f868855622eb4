import { testOp } from "./harness.ts";
import { logSoftmaxCase, logSoftmaxExtremesCase, softmaxCase, softmaxExtremesCase } from "./softmax.ts";

testOp(softmaxCase);
testOp(softmaxExtremesCase);
testOp(logSoftmaxCase);
testOp(logSoftmaxExtremesCase);
