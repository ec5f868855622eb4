import { counted } from "../../core/format.ts";
import { rateOf, shortTime } from "./report.ts";
import type { BenchRow } from "./service.ts";

/** The measurements, a group under its title; a bar says what share of this device's peak was reached. */
export function BenchTable({ rows }: { readonly rows: readonly BenchRow[] }) {
  const groups = [...new Set(rows.map(({ group }) => group))];
  return (
    <table class="bench-table">
      <thead>
        <tr><th scope="col">Kernel and sizes</th><th scope="col" class="roomy">Pass</th><th scope="col" class="number roomy">Time</th><th scope="col" class="number">Rate</th><th scope="col">Share of this device’s peak</th></tr>
      </thead>
      {groups.map((group) => (
        <tbody key={group}>
          <tr class="group"><th colSpan={5} scope="rowgroup">{group}</th></tr>
          {rows.filter((row) => row.group === group).map((row) => <Row key={`${row.op} ${row.sample} ${row.direction}`} row={row} />)}
        </tbody>
      ))}
    </table>
  );
}

function Row({ row }: { readonly row: BenchRow }) {
  const { op, sample, direction, seconds, tooLong, share, bound, kernels } = row;
  const time = seconds === null ? `about ${shortTime(tooLong ?? 0)}` : shortTime(seconds);
  return (
    <tr>
      <th scope="row"><span class="op">{op}</span> <span class="sample">{sample}</span> <span class="narrow sample">{direction}, {time}</span></th>
      <td class="roomy">{direction}</td>
      <td class="number roomy" title={counted(kernels, "kernel")}>{time}</td>
      <td class="number">{rateOf(row)}</td>
      <td>{seconds === null
        ? <span class="quiet small">left out: too long for a measurement</span>
        : <span class="share"><span class="track" aria-hidden="true"><span class={`fill ${bound}`} style={{ width: `${Math.min(100, 100 * share)}%` }} /></span><span class="number">{Math.round(100 * share)} %</span></span>}</td>
    </tr>
  );
}
