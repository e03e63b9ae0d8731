/** The protobuf wire format, as far as writing ONNX needs it: varints, length-delimited fields, floats. */

/** A message under construction: pieces are collected, and joined once. */
export interface Message {
  /** A varint field; negative numbers as 64-bit two's complement. */
  int(field: number, value: number | bigint): Message;
  /** A 32-bit float field. */
  float(field: number, value: number): Message;
  /** A string, bytes or sub-message field. */
  bytes(field: number, value: string | Uint8Array | Message): Message;
  /** Total size in bytes. */
  size(): number;
  /** The pieces in order; large tensors are passed through uncopied. */
  pieces(): readonly Uint8Array[];
}

const utf8 = new TextEncoder();

export function message(): Message {
  const parts: Uint8Array[] = [];
  let size = 0;
  const push = (part: Uint8Array) => {
    parts.push(part);
    size += part.length;
  };
  const self: Message = {
    int(field, value) {
      push(Uint8Array.from([...varint(BigInt(field * 8)), ...varint(BigInt(value))]));
      return self;
    },
    float(field, value) {
      push(Uint8Array.from(varint(BigInt(field * 8 + 5))));
      push(new Uint8Array(Float32Array.of(value).buffer));
      return self;
    },
    bytes(field, value) {
      const content = typeof value === 'string' ? utf8.encode(value) : value;
      const length = content instanceof Uint8Array ? content.length : content.size();
      push(Uint8Array.from([...varint(BigInt(field * 8 + 2)), ...varint(BigInt(length))]));
      for (const piece of content instanceof Uint8Array ? [content] : content.pieces()) push(piece);
      return self;
    },
    size: () => size,
    pieces: () => parts,
  };
  return self;
}

/** All pieces in one array. */
export function toBytes(from: Message): Uint8Array {
  const bytes = new Uint8Array(from.size());
  let at = 0;
  for (const piece of from.pieces()) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

function varint(value: bigint): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return bytes;
}
