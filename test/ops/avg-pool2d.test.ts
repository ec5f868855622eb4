import { avgPool2dCase } from "./avg-pool2d.ts";
import { testOp } from "./harness.ts";

testOp(avgPool2dCase);
