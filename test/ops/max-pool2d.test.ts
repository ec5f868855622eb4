import { testOp } from "./harness.ts";
import { maxPool2dCase, maxPool2dNaNCase } from "./max-pool2d.ts";

testOp(maxPool2dCase);
testOp(maxPool2dNaNCase);
