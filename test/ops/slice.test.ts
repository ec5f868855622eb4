import { testOp } from "./harness.ts";
import { flipCase, sliceCase } from "./slice.ts";

testOp(sliceCase);
testOp(flipCase);
