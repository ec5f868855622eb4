import { normalizeAxis, sizeOf } from "../../core/shape.ts";
import { sumPlaces } from "../../kernels/embedding.ts";
import { indexSelect as indexSelectKernel } from "../../kernels/index-select.ts";
import { permute } from "../../kernels/permute.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import { placesOf } from "../sorting.ts";
import type { Tensor } from "../tensor.ts";

const apply = defineOp<{ axis: number }>({
  name: "indexSelect",
  forward(inputs, attrs) {
    return { outputs: run(indexSelectKernel, inputs, attrs) };
  },
  backward([dy], { inputs: [x, ids], attrs: { axis } }) {
    // The axis comes first, as in the table of an embedding.
    const [outer, inner] = [sizeOf(x.shape.slice(0, axis)), sizeOf(x.shape.slice(axis + 1))];
    const exchange = (rows: Tensor): Tensor => (outer === 1 ? rows : run(permute, [rows], { permutation: [1, 0, 2] })[0]);
    const { order, starts } = placesOf(ids, x.shape[axis]);
    const [sums] = run(sumPlaces, [exchange(dy!.view([outer, ids.size, inner])).view([ids.size, outer * inner]), order, starts], {});
    return [exchange(sums.view([x.shape[axis], outer, inner])).view(x.shape), null];
  },
});

/**
 * What stands at some numbers of an axis, in their order: torch's `index_select`. It reorders beams and their caches.
 *
 * x [..., n, ...] of any type, ids [P] i32 → [..., P, ...]. An id outside 0 … n − 1, a negative one too, gives NaN (the least
 * i32, the greatest u32), and no gradient.
 * @throws ShapeError if ids are not i32 [P], or the axis lies outside the rank.
 */
export function indexSelect(x: Tensor, axis: number, ids: Tensor): Tensor {
  return apply([x, ids], { axis: normalizeAxis(axis, x.shape.length, "indexSelect") })[0];
}
