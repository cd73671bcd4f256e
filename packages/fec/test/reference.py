"""Parity by codecs that others wrote: `reference.py zfec|norm`, a request as JSON on standard input.

The request has k, m, symbol (bytes) and source (base64, k symbols). The answer is the m parity symbols in base64.
"""

import base64
import ctypes
import json
import socket
import sys

PATIENCE_SECONDS = 10
# NORM_DATA, RFC 5740 section 4.2.1: type 2 in the low half of byte 0, header length in words at byte 1, FEC Encoding ID at
# 13, FEC Payload ID at 16 (RFC 5510 section 5.1: SBN 24 bits, ESI 8 bits).
NORM_DATA = 2
REED_SOLOMON_8 = 5


def zfec_parity(k, m, symbol, source):
    """python3-zfec: its block k + i is parity symbol i."""
    import zfec

    blocks = [source[i * symbol : (i + 1) * symbol] for i in range(k)]
    return zfec.Encoder(k, k + m).encode(blocks, list(range(k, k + m)))


def norm_parity(k, m, symbol, source):
    """libnorm1 exports no encoder, only its C interface: what its sender sends over loopback is what it encoded."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("127.0.0.1", 0))
    listener.settimeout(PATIENCE_SECONDS)
    norm = norm_library()
    instance = norm.NormCreateInstance(False)
    session = norm.NormCreateSession(instance, b"127.0.0.1", listener.getsockname()[1], 1)
    norm.NormSetTxOnly(session, True, False)
    norm.NormSetCongestionControl(session, False, False)
    norm.NormSetTxRate(session, 2e7)
    norm.NormSetAutoParity(session, m)
    if not norm.NormStartSender(session, 1, 2**22, symbol, k, m, 0):
        sys.exit("libnorm did not start its sender")
    if not norm.NormDataEnqueue(session, source, len(source), None, 0):
        sys.exit("libnorm did not take the data")
    heard = hear(listener, k + m, symbol)
    norm.NormDestroyInstance(instance)
    if b"".join(heard[i] for i in range(k)) != source:
        sys.exit("libnorm's source symbols are not the source")
    return [heard[k + i] for i in range(m)]


def norm_library():
    norm = ctypes.CDLL("libnorm.so.1")
    handle, flag, short, long = ctypes.c_void_p, ctypes.c_bool, ctypes.c_uint16, ctypes.c_uint32
    for name, result, *arguments in (
        ("NormCreateInstance", handle, flag),
        ("NormDestroyInstance", None, handle),
        ("NormCreateSession", handle, handle, ctypes.c_char_p, short, long),
        ("NormSetTxOnly", None, handle, flag, flag),
        ("NormSetCongestionControl", None, handle, flag, flag),
        ("NormSetTxRate", None, handle, ctypes.c_double),
        ("NormSetAutoParity", None, handle, ctypes.c_ubyte),
        ("NormStartSender", flag, handle, long, long, short, short, short, ctypes.c_ubyte),
        ("NormDataEnqueue", handle, handle, ctypes.c_char_p, long, ctypes.c_char_p, ctypes.c_uint),
    ):
        getattr(norm, name).restype = result
        getattr(norm, name).argtypes = arguments
    return norm


def hear(listener, count, symbol):
    """The symbols of the one block that is sent, by their ESI."""
    heard = {}
    while len(heard) < count:
        datagram = listener.recv(65536)
        if datagram[0] & 15 != NORM_DATA:
            continue
        payload = datagram[datagram[1] * 4 :]
        if datagram[13] != REED_SOLOMON_8 or datagram[16:19] != bytes(3) or len(payload) != symbol:
            sys.exit("libnorm sent something else than one block of FEC Encoding ID 5")
        heard[datagram[19]] = payload
    return heard


def main():
    codec = {"zfec": zfec_parity, "norm": norm_parity}[sys.argv[1]]
    request = json.load(sys.stdin)
    source = base64.b64decode(request["source"])
    parity = codec(request["k"], request["m"], request["symbol"], source)
    print(base64.b64encode(b"".join(parity)).decode())


main()
