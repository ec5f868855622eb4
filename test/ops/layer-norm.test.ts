import { testOp } from "./harness.ts";
import { layerNormCase, layerNormFarCase } from "./layer-norm.ts";

testOp(layerNormCase);
testOp(layerNormFarCase);
