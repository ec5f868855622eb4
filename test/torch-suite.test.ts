import { testCaseFile } from "./case-file.ts";

testCaseFile("PyTorch's ops under their names", "torch/ops.json");
