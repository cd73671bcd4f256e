// Big-endian fields at fixed offsets. Reads past the end give 0; callers check the length first.

export const u8 = (bytes: Uint8Array, at: number): number => bytes[at] ?? 0;

export const u16 = (bytes: Uint8Array, at: number): number => (u8(bytes, at) << 8) | u8(bytes, at + 1);

export const u24 = (bytes: Uint8Array, at: number): number =>
  (u8(bytes, at) << 16) | (u8(bytes, at + 1) << 8) | u8(bytes, at + 2);

export const u32 = (bytes: Uint8Array, at: number): number =>
  ((u8(bytes, at) << 24) | (u8(bytes, at + 1) << 16) | (u8(bytes, at + 2) << 8) | u8(bytes, at + 3)) >>> 0;

export const u40 = (bytes: Uint8Array, at: number): number => u8(bytes, at) * 2 ** 32 + u32(bytes, at + 1);

export const u48 = (bytes: Uint8Array, at: number): number => u16(bytes, at) * 2 ** 32 + u32(bytes, at + 2);

export function putU16(into: Uint8Array, at: number, value: number): void {
  into[at] = value >>> 8;
  into[at + 1] = value;
}

export function putU24(into: Uint8Array, at: number, value: number): void {
  into[at] = value >>> 16;
  into[at + 1] = value >>> 8;
  into[at + 2] = value;
}

export function putU32(into: Uint8Array, at: number, value: number): void {
  into[at] = value >>> 24;
  into[at + 1] = value >>> 16;
  into[at + 2] = value >>> 8;
  into[at + 3] = value;
}

export function putU40(into: Uint8Array, at: number, value: number): void {
  into[at] = Math.floor(value / 2 ** 32);
  putU32(into, at + 1, value >>> 0);
}

export function putU48(into: Uint8Array, at: number, value: number): void {
  putU16(into, at, Math.floor(value / 2 ** 32));
  putU32(into, at + 2, value >>> 0);
}
