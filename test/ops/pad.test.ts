import { testOp } from "./harness.ts";
import { padCase } from "./pad.ts";

testOp(padCase);
