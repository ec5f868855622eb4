import { linearCase } from "./linear.ts";
import { testOp } from "./harness.ts";

testOp(linearCase);
