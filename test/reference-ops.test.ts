import { testCaseFile } from "./case-file.ts";

testCaseFile("PyTorch's values and gradients", "ops/given.json");
