import { testOp } from "./harness.ts";
import { reshapeCase } from "./reshape.ts";

testOp(reshapeCase);
