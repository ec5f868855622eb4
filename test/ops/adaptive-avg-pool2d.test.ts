import { adaptiveAvgPool2dCase } from "./adaptive-avg-pool2d.ts";
import { testOp } from "./harness.ts";

testOp(adaptiveAvgPool2dCase);
