/**
 * The outermost fields of a message in protocol buffers' wire format (protobuf.dev/programming-guides/encoding), where they lie. Messages are cut and joined
 * by these places instead of being decoded and made anew: payloads stay as they were, to the byte, and so do fields that this version does not know.
 */
export interface WireField {
  readonly number: number;
  /** 0 varint, 1 eight bytes, 2 bytes with their length, 5 four bytes. */
  readonly wireType: 0 | 1 | 2 | 5;
  /** Where the field begins, with its tag, and ends. */
  readonly start: number;
  readonly end: number;
  /** Where the value begins; it ends where the field ends. */
  readonly valueStart: number;
}

/** @returns every outermost field in turn, or null for what is no message, or has groups, which no message of Temporal has */
export function fieldsOf(message: Uint8Array): readonly WireField[] | null {
  const fields: WireField[] = [];
  for (let at = 0; at < message.length; ) {
    const tag = varintAt(message, at);
    if (tag === null || tag.value < 8) return null;
    const wireType = tag.value % 8;
    const number = Math.floor(tag.value / 8);
    let valueStart = tag.end;
    let end: number;
    if (wireType === 0) {
      while (valueStart < message.length && ((message[valueStart] as number) & 0x80) !== 0) valueStart += 1;
      end = valueStart + 1;
      valueStart = tag.end;
      if (end - valueStart > 10) return null;
    } else if (wireType === 1) end = valueStart + 8;
    else if (wireType === 5) end = valueStart + 4;
    else if (wireType === 2) {
      const length = varintAt(message, valueStart);
      if (length === null) return null;
      valueStart = length.end;
      end = valueStart + length.value;
    } else return null;
    if (end > message.length) return null;
    fields.push({ number, wireType, start: at, end, valueStart });
    at = end;
  }
  return fields;
}

/** The message with another value in a field of bytes. */
export function withBytes(message: Uint8Array, field: WireField, value: Uint8Array): Uint8Array {
  const head = [...varintOf(field.number * 8 + 2), ...varintOf(value.length)];
  const made = new Uint8Array(field.start + head.length + value.length + message.length - field.end);
  made.set(message.subarray(0, field.start), 0);
  made.set(head, field.start);
  made.set(value, field.start + head.length);
  made.set(message.subarray(field.end), field.start + head.length + value.length);
  return made;
}

/** Up to 32 bits, in the shortest form only: no two readers may take the same bytes for different fields. */
function varintAt(message: Uint8Array, start: number): { readonly value: number; readonly end: number } | null {
  let value = 0;
  for (let at = start; at < start + 5; at += 1) {
    const byte = message[at];
    if (byte === undefined) return null;
    value += (byte & 0x7f) * 2 ** (7 * (at - start));
    if ((byte & 0x80) !== 0) continue;
    return (byte === 0 && at > start) || value > 0xffff_ffff ? null : { value, end: at + 1 };
  }
  return null;
}

function varintOf(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) + 128);
  }
}
