import { testOp } from "./harness.ts";
import { mseLossCase } from "./mse-loss.ts";

testOp(mseLossCase);
