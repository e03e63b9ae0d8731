/** Half-precision numbers as bit patterns: IEEE 754 binary16 and bfloat16 ⇄ float32. */
import type { ArrayOf, DataType, Tensor } from './tensor';

const scratch = new DataView(new ArrayBuffer(4));

function bitsOf(value: number): number {
  scratch.setFloat32(0, value);
  return scratch.getUint32(0);
}

function fromBits(bits: number): number {
  scratch.setUint32(0, bits);
  return scratch.getFloat32(0);
}

/** The number that a binary16 pattern stands for; exact. */
export function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The binary16 pattern nearest to `value` (read as float32), ties to even; too large becomes infinity. */
export function numberToHalf(value: number): number {
  const bits = bitsOf(value);
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  // 65520 is the first number that rounds to 2^16, beyond binary16.
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  // Below 2^-14 the pattern counts multiples of 2^-24; adding 0.5 makes float32 itself round to that step.
  if (magnitude < 0x38800000) return sign | (bitsOf(fromBits(magnitude) + 0.5) - 0x3f000000);
  const even = (magnitude >>> 13) & 1;
  return sign | ((magnitude - 0x38000000 + 0xfff + even) >>> 13);
}

/** The number that a bfloat16 pattern stands for; exact. */
export const bfloat16ToNumber = (bits: number): number => fromBits((bits & 0xffff) * 0x10000);

/** The bfloat16 pattern nearest to `value` (read as float32), ties to even. */
export function numberToBfloat16(value: number): number {
  const bits = bitsOf(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

let halfTable: Float32Array | undefined;

/** binary16 patterns → float32, exact. Reads a table of all 65,536 patterns, made at the first call. */
export function halfToFloat32(patterns: Uint16Array): Float32Array {
  halfTable ??= Float32Array.from({ length: 0x10000 }, (_, bits) => halfToNumber(bits));
  const table = halfTable;
  const values = new Float32Array(patterns.length);
  for (let i = 0; i < patterns.length; i++) values[i] = table[patterns[i]!]!;
  return values;
}

/** bfloat16 patterns → float32, exact. */
export function bfloat16ToFloat32(patterns: Uint16Array): Float32Array {
  const bits = new Uint32Array(patterns.length);
  for (let i = 0; i < patterns.length; i++) bits[i] = patterns[i]! << 16;
  return new Float32Array(bits.buffer);
}

/** float32 → binary16 patterns, nearest, ties to even. */
export function float32ToHalf(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const patterns = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const word = bits[i]!;
    const magnitude = word & 0x7fffffff;
    // The common case without the detour over DataView: finite and normal in binary16.
    patterns[i] =
      magnitude >= 0x38800000 && magnitude < 0x477ff000
        ? ((word >>> 16) & 0x8000) | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13)
        : numberToHalf(values[i]!);
  }
  return patterns;
}

/** float32 → bfloat16 patterns, nearest, ties to even. */
export function float32ToBfloat16(values: Float32Array): Uint16Array {
  return Uint16Array.from(values, numberToBfloat16);
}

/** float32 values in another floating-point type, rounded to the nearest. Throws RangeError for types of other kinds. */
export function fromFloat32(values: Float32Array, dtype: DataType): ArrayOf[DataType] {
  if (dtype === 'float32') return values;
  if (dtype === 'float16') return float32ToHalf(values);
  if (dtype === 'bfloat16') return float32ToBfloat16(values);
  if (dtype === 'float64') return Float64Array.from(values);
  throw new RangeError(`Weights are floating-point numbers, not ${dtype}.`);
}

/** The values of a tensor of any element type as float32. The same array when it is float32 already. */
export function toFloat32({ dtype, data }: Tensor): Float32Array {
  if (data instanceof Float32Array) return data;
  if (data instanceof BigInt64Array) return Float32Array.from(data, Number);
  if (dtype === 'float16') return halfToFloat32(data as Uint16Array);
  if (dtype === 'bfloat16') return bfloat16ToFloat32(data as Uint16Array);
  return Float32Array.from(data);
}
