// NTP seconds modulo 2^32 (RFC 5905) and the era rule of RFC 6726 section 3.3.

/** 1900-01-01 to 1970-01-01 in seconds. */
const NTP_UNIX_OFFSET = 2_208_988_800;

/** Unix seconds (fractions are cut) as NTP seconds modulo 2^32. The era turns on 2036-02-07T06:28:16Z. */
export const ntpFromUnix = (unixSeconds: number): number => (Math.floor(unixSeconds) + NTP_UNIX_OFFSET) >>> 0;

/**
 * True when `ntpNow` lies beyond `expires` (O-6). Both are NTP seconds modulo 2^32; the era of `expires` is the one
 * closest to now, so the difference is a signed 32-bit number.
 */
export const isExpired = (expires: number, ntpNow: number): boolean => ((expires - ntpNow) | 0) < 0;
