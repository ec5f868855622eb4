/** The opcodes of pickles: what those that make data do, and the names of those that are refused. */

import type { Unpickler } from "./pickle.ts";
import type { PickleValue } from "./pickle-values.ts";

type Action = (machine: Unpickler) => void;

/** A little-endian integer in two's complement: a number, or a bigint above 2^53. */
function parseLong(bytes: Uint8Array): number | bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]);
  value = BigInt.asIntN(8 * bytes.length, value);
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

function pushTuple(machine: Unpickler, elements: PickleValue[]): void {
  machine.pushContainer(Object.freeze(elements));
}

function popSeveral(machine: Unpickler, count: number): PickleValue[] {
  return Array.from({ length: count }, () => machine.pop()).reverse();
}

function pushStackGlobal(machine: Unpickler): void {
  const [module, name] = popSeveral(machine, 2);
  machine.pushGlobal(module, name);
}

/** The opcodes that make data, by their bytes. */
export const OPCODES: ReadonlyMap<number, Action> = new Map<number, Action>([
  [0x80, (machine) => machine.protocol(machine.byte())], // PROTO
  [0x95, (machine) => void machine.uint64()], // FRAME: a hint for reading ahead
  [0x2e, (machine) => machine.stop()], // STOP
  [0x28, (machine) => machine.mark()], // MARK

  [0x4e, (machine) => machine.push(null)], // NONE
  [0x88, (machine) => machine.push(true)], // NEWTRUE
  [0x89, (machine) => machine.push(false)], // NEWFALSE
  [0x4a, (machine) => machine.push(machine.int32())], // BININT
  [0x4b, (machine) => machine.push(machine.byte())], // BININT1
  [0x4d, (machine) => machine.push(machine.uint16())], // BININT2
  [0x8a, (machine) => machine.push(parseLong(machine.take(machine.byte())))], // LONG1
  [0x47, (machine) => machine.push(machine.float64())], // BINFLOAT
  [0x55, (machine) => machine.push(machine.text(machine.byte()))], // SHORT_BINSTRING, text of Python 2
  [0x8c, (machine) => machine.push(machine.text(machine.byte()))], // SHORT_BINUNICODE
  [0x58, (machine) => machine.push(machine.text(machine.uint32()))], // BINUNICODE
  [0x8d, (machine) => machine.push(machine.text(machine.uint64()))], // BINUNICODE8
  [0x43, (machine) => machine.push(machine.take(machine.byte()))], // SHORT_BINBYTES
  [0x42, (machine) => machine.push(machine.take(machine.uint32()))], // BINBYTES
  [0x8e, (machine) => machine.push(machine.take(machine.uint64()))], // BINBYTES8
  [0x96, (machine) => machine.push(machine.take(machine.uint64()))], // BYTEARRAY8

  [0x29, (machine) => pushTuple(machine, [])], // EMPTY_TUPLE
  [0x85, (machine) => pushTuple(machine, popSeveral(machine, 1))], // TUPLE1
  [0x86, (machine) => pushTuple(machine, popSeveral(machine, 2))], // TUPLE2
  [0x87, (machine) => pushTuple(machine, popSeveral(machine, 3))], // TUPLE3
  [0x74, (machine) => pushTuple(machine, machine.popToMark())], // TUPLE
  [0x5d, (machine) => machine.pushContainer([])], // EMPTY_LIST
  [0x61, (machine) => machine.append([machine.pop()])], // APPEND
  [0x65, (machine) => machine.append(machine.popToMark())], // APPENDS
  [0x7d, (machine) => machine.pushContainer(new Map())], // EMPTY_DICT
  [0x73, (machine) => machine.setItems(popSeveral(machine, 2))], // SETITEM
  [0x75, (machine) => machine.setItems(machine.popToMark())], // SETITEMS
  [0x8f, (machine) => machine.pushContainer(new Set())], // EMPTY_SET
  [0x90, (machine) => machine.addToSet(machine.popToMark())], // ADDITEMS

  [0x71, (machine) => machine.remember(machine.byte())], // BINPUT
  [0x72, (machine) => machine.remember(machine.uint32())], // LONG_BINPUT
  [0x94, (machine) => machine.remember(machine.memoSize)], // MEMOIZE
  [0x68, (machine) => machine.recall(machine.byte())], // BINGET
  [0x6a, (machine) => machine.recall(machine.uint32())], // LONG_BINGET

  [0x63, (machine) => machine.pushGlobal(machine.line(), machine.line())], // GLOBAL
  [0x93, pushStackGlobal], // STACK_GLOBAL
  [0x52, (machine) => machine.reduce()], // REDUCE
  [0x81, (machine) => machine.newObject()], // NEWOBJ
  [0x62, (machine) => machine.build()], // BUILD
  [0x51, (machine) => machine.loadPersistent()], // BINPERSID
]);

/** The other opcodes: those of protocols 0 and 1, which nothing has written for long, and ways to call things that nobody needs for data. */
export const REFUSED_OPCODES: ReadonlyMap<number, string> = new Map([
  [0x30, "POP"],
  [0x31, "POP_MARK"],
  [0x32, "DUP"],
  [0x46, "FLOAT"],
  [0x49, "INT"],
  [0x4c, "LONG"],
  [0x50, "PERSID"],
  [0x53, "STRING"],
  [0x54, "BINSTRING"],
  [0x56, "UNICODE"],
  [0x64, "DICT"],
  [0x67, "GET"],
  [0x69, "INST"],
  [0x6c, "LIST"],
  [0x6f, "OBJ"],
  [0x70, "PUT"],
  [0x82, "EXT1"],
  [0x83, "EXT2"],
  [0x84, "EXT4"],
  [0x8b, "LONG4"],
  [0x91, "FROZENSET"],
  [0x92, "NEWOBJ_EX"],
  [0x97, "NEXT_BUFFER"],
  [0x98, "READONLY_BUFFER"],
]);
