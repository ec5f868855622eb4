import { convTranspose2dCase } from "./conv-transpose2d.ts";
import { testOp } from "./harness.ts";

testOp(convTranspose2dCase);
