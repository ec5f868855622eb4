import { testOp } from "./harness.ts";
import { rnnReluCase, rnnTanhCase } from "./rnn.ts";

testOp(rnnTanhCase);
testOp(rnnReluCase);
