import { sizeOf } from "../../core/shape.ts";
import { attentionBackwardDots, attentionBackwardKeys, attentionBackwardQueries } from "../../kernels/attention-backward.ts";
import { attention as attentionKernel } from "../../kernels/attention.ts";
import type { AttentionAttrs } from "../../kernels/attention-layout.ts";
import { likeOutput, lowered } from "../autocast.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";

export interface PackedAttentionOptions {
  /** Whether position i sees positions 0 … i only. Default false. */
  readonly causal?: boolean;
  /** [B,Tk] of any dtype: 0 where nobody may attend to a key. */
  readonly keyMask?: Tensor;
  /** Factor of the scores q·k. Default 1/√D. */
  readonly scale?: number;
}

export interface AttentionOptions extends PackedAttentionOptions {
  /** Order of the axes of q, k, v and of the result. Default `bhtd`; `bthd` spares the copies where heads come out of a linear layer. */
  readonly layout?: "bhtd" | "bthd";
}

const op = defineOp<AttentionAttrs>({
  name: "attention",
  forward(inputs, attrs) {
    const [y, logSum] = run(attentionKernel, inputs, attrs);
    return { outputs: [y], saved: [logSum] };
  },
  backward([dOut], { inputs, outputs: [y], saved: [logSum], attrs, needs }) {
    const dy = likeOutput(dOut!, y);
    const heads = attrs.layout === "packed" ? 1 : 3;
    const [queries] = run(attentionBackwardDots, [y, dy, logSum], attrs);
    const given = [...inputs.slice(0, heads), dy, queries, ...inputs.slice(heads)];
    if (attrs.layout === "packed") return [run(attentionBackwardKeys, given, attrs, run(attentionBackwardQueries, given, attrs))[0]];
    const [dq] = needs[0] ? run(attentionBackwardQueries, given, attrs) : [null];
    const [dk, dv] = needs[1] || needs[2] ? run(attentionBackwardKeys, given, attrs) : [null, null];
    return [dq, dk, dv, null];
  },
});

/**
 * Scaled dot-product attention: y = softmax(scale · q·kᵀ, over the keys that may be seen) · v.
 *
 * q [B,H,Tq,D], k, v [B,H,Tk,D] → [B,H,Tq,D]; with layout `bthd` the axes T and H change places everywhere. Heads of 1 …
 * 256 elements. Self attention, cross attention (Tq ≠ Tk), and causal attention, where query i sees the keys 0 … i (the
 * upper left triangle, also where Tq ≠ Tk). A query that sees no key gives zeros, and has no gradient. Probabilities are
 * never stored, forward or backward: memory grows with Tq + Tk. A masked key must hold finite numbers.
 * @throws ShapeError if k and v differ, or q, k, v and keyMask don't fit each other.
 * Source: Vaswani et al. 2017, arXiv:1706.03762; the same result as torch.nn.functional.scaled_dot_product_attention.
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, { causal = false, keyMask, scale, layout = "bhtd" }: AttentionOptions = {}): Tensor {
  const attrs = { layout, causal, masked: keyMask !== undefined, scale: scale ?? 1 / Math.sqrt(q.shape.at(-1) ?? 1) };
  return op([...lowered(q, k, v), ...(keyMask === undefined ? [] : [keyMask])], attrs)[0];
}

/**
 * Self attention on what one linear layer made of x: {@link attention} without a copy of q, k or v, nor of their gradients.
 *
 * qkv [B,T,3·H·D] (or [B,T,3,H,D]) with q, k and v side by side, each of H heads of D → [B,T,H·D].
 * @throws ShapeError if qkv has no such shape, or keyMask is not [B,T].
 */
export function packedSelfAttention(qkv: Tensor, heads: number, { causal = false, keyMask, scale }: PackedAttentionOptions = {}): Tensor {
  const headSize = sizeOf(qkv.shape.slice(2)) / 3 / heads;
  const attrs: AttentionAttrs = { layout: "packed", heads, causal, masked: keyMask !== undefined, scale: scale ?? 1 / Math.sqrt(headSize) };
  return op([...lowered(qkv), ...(keyMask === undefined ? [] : [keyMask])], attrs)[0];
}
