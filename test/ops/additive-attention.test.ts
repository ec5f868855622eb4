import { additiveAttentionCase, additiveScoresCase } from "./additive-attention.ts";
import { testOp } from "./harness.ts";

testOp(additiveScoresCase);
testOp(additiveAttentionCase);
