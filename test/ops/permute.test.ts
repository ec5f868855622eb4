import { testOp } from "./harness.ts";
import { transposeCase } from "./permute.ts";

testOp(transposeCase);
