import { testOp } from "./harness.ts";
import { maskedSoftmaxCase, maskedSoftmaxExtremesCase } from "./masked-softmax.ts";

testOp(maskedSoftmaxCase);
testOp(maskedSoftmaxExtremesCase);
