import { compareCases, compareNumberCases, logicalCases, logicalNotCase } from "./compare.ts";
import { testOp } from "./harness.ts";

for (const opCase of [...compareCases, ...logicalCases]) testOp(opCase);
for (const opCase of compareNumberCases) testOp(opCase);
testOp(logicalNotCase);
