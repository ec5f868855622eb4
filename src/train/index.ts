/** Training: optimisers, schedules, mixed precision's loss scale and audit, batches of captioned pictures. Works in Node and in browsers. */
export { audit, showAudit, type AuditOptions, type AuditRow } from "../autograd/audit.ts";
export { Adam, AdamW, type AdamOptions, type AdamSettings } from "./adamw.ts";
export { Batches, lookAtPictures, pictureBatch, textBatch, type Batch, type BatchOptions, type Look, type TextOptions } from "./batches.ts";
export { LossScaler, type LossScalerOptions } from "./loss-scaler.ts";
export { Muon, type MuonOptions } from "./muon.ts";
export { Optimizer, type ParameterGroup, type Settings, type StepOptions } from "./optimizer.ts";
export { oneCycle, Plateau, stepDecay, warmupCosine, type OneCycleOptions, type OneCycleValue, type PlateauOptions, type PlateauState, type Schedule, type WarmupCosineOptions } from "./schedule.ts";
export { SGD, type SgdOptions, type SgdSettings } from "./sgd.ts";
