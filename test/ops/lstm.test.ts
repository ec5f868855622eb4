import { testOp } from "./harness.ts";
import { lstmCase } from "./lstm.ts";

testOp(lstmCase);
