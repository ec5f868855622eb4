import { conv2dCase } from "./conv2d.ts";
import { testOp } from "./harness.ts";

testOp(conv2dCase);
