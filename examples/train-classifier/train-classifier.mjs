import { argmax, crossEntropy, Generator, recorded, relu, requestDevice } from "sightline";
import { Linear } from "sightline/nn";
import { AdamW } from "sightline/train";

// 256 points of the plane: those near the middle are of class 1, the others of class 0.
const generator = new Generator(1);
const points = { shape: [256, 2], data: Float32Array.from({ length: 512 }, () => 2 * generator.uniform() - 1) };
const classes = { shape: [256], data: Int32Array.from({ length: 256 }, (_, i) => (Math.hypot(points.data[2 * i], points.data[2 * i + 1]) < 0.7 ? 1 : 0)) };

const device = await requestDevice();
const [hidden, output] = [new Linear({ device, generator }, 2, 32), new Linear({ device, generator }, 32, 2)];
const optimizer = new AdamW([{ params: [...hidden.parameters(), ...output.parameters()] }], { lr: 0.02 });
const step = recorded(device, "step", (x, target) => {
  const logits = output.forward(relu(hidden.forward(x)));
  const loss = crossEntropy(logits, target);
  loss.backward();
  optimizer.step();
  return { loss, chosen: argmax(logits) };
});
for (let i = 0; i < 200; i++) await step.run(points, classes);

const { loss, chosen } = await step.run(points, classes);
const [lastLoss, answers] = await Promise.all([loss.item(), chosen.read()]);
export const right = answers.filter((answer, i) => answer === classes.data[i]).length;
console.log(`loss ${lastLoss.toFixed(3)}, ${right} of ${answers.length} points right`);
await device.close();
