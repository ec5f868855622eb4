import { testOp } from "./harness.ts";
import { sliceCase } from "./slice.ts";

testOp(sliceCase);
