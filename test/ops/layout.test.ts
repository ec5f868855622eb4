import { testOp } from "./harness.ts";
import { flattenCase, repeatCase, rollCase, splitCase, squeezeCase, stackCase, unsqueezeCase } from "./layout.ts";

testOp(squeezeCase);
testOp(unsqueezeCase);
testOp(flattenCase);
testOp(stackCase);
testOp(splitCase);
testOp(rollCase);
testOp(repeatCase);
