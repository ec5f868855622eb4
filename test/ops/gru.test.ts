import { gruCase } from "./gru.ts";
import { testOp } from "./harness.ts";

testOp(gruCase);
