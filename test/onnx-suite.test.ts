import { testCaseFile } from "./case-file.ts";

testCaseFile("the ONNX operator suite", "onnx/onnx.json");
