# Holds one thread of a process, as a debugger does, until that process is gone: hold-thread.py TID. Prints "held".
import ctypes
import os
import sys

PTRACE_SEIZE, PTRACE_INTERRUPT, ALL_THREADS = 0x4206, 0x4207, 0x40000000
tid = int(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
    if libc.ptrace(request, tid, None, None) != 0:
        sys.exit(os.strerror(ctypes.get_errno()))
os.waitpid(tid, ALL_THREADS)
print("held", flush=True)
# It is never told to go on. What ends the process ends the wait.
while True:
    _, status = os.waitpid(tid, ALL_THREADS)
    if os.WIFEXITED(status) or os.WIFSIGNALED(status):
        print("gone", flush=True)
        break
