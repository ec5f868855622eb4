import { testOp } from "./harness.ts";
import { concatCase } from "./concat.ts";

testOp(concatCase);
