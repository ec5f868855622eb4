import { testOp } from "./harness.ts";
import { argsortCase, sortCase, sortTiesCase } from "./sort.ts";

testOp(sortCase);
testOp(sortTiesCase);
testOp(argsortCase);
