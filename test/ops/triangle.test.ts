import { testOp } from "./harness.ts";
import { trilCase, triuCase } from "./triangle.ts";

testOp(trilCase);
testOp(triuCase);
