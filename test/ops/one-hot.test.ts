import { testOp } from "./harness.ts";
import { oneHotCase } from "./one-hot.ts";

testOp(oneHotCase);
