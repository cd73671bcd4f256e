/* Loaded into a daemon (LD_PRELOAD): reading, writing or syncing files below a path fails with EIO while the control file says so.
 * Control file, mapped: a word of flags (1 read, 2 write, 4 sync), a word that counts failures, then the path. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { READ = 1, WRITE = 2, SYNC = 4, PATH_AT = 8, CONTROL_BYTES = 4096 };

static volatile uint32_t *control;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("SLUICE_CHAOS_IO");
  int file = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
  if (file < 0) return;
  void *mapped = mmap(NULL, CONTROL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (mapped != MAP_FAILED) control = mapped;
}

static int fails(int file, uint32_t call) {
  if (control == NULL || (control[0] & call) == 0) return 0;
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, sizeof path - 1);
  const char *prefix = (const char *)control + PATH_AT;
  if (length < 0 || strncmp(path, prefix, strlen(prefix)) != 0) return 0;
  __sync_fetch_and_add(control + 1, 1);
  errno = EIO;
  return 1;
}

#define WRAP(type, name, call, parameters, arguments)                       \
  type name parameters {                                                    \
    static type(*real) parameters;                                          \
    if (real == NULL) real = (type(*) parameters)dlsym(RTLD_NEXT, #name);   \
    return fails(file, call) ? -1 : real arguments;                         \
  }

WRAP(ssize_t, read, READ, (int file, void *bytes, size_t n), (file, bytes, n))
WRAP(ssize_t, pread, READ, (int file, void *bytes, size_t n, off_t at), (file, bytes, n, at))
WRAP(ssize_t, pread64, READ, (int file, void *bytes, size_t n, off64_t at), (file, bytes, n, at))
WRAP(ssize_t, preadv, READ, (int file, const struct iovec *v, int n, off_t at), (file, v, n, at))
WRAP(ssize_t, preadv64, READ, (int file, const struct iovec *v, int n, off64_t at), (file, v, n, at))
WRAP(ssize_t, write, WRITE, (int file, const void *bytes, size_t n), (file, bytes, n))
WRAP(ssize_t, writev, WRITE, (int file, const struct iovec *v, int n), (file, v, n))
WRAP(ssize_t, pwrite, WRITE, (int file, const void *bytes, size_t n, off_t at), (file, bytes, n, at))
WRAP(ssize_t, pwrite64, WRITE, (int file, const void *bytes, size_t n, off64_t at), (file, bytes, n, at))
WRAP(ssize_t, pwritev, WRITE, (int file, const struct iovec *v, int n, off_t at), (file, v, n, at))
WRAP(ssize_t, pwritev64, WRITE, (int file, const struct iovec *v, int n, off64_t at), (file, v, n, at))
WRAP(int, fsync, SYNC, (int file), (file))
WRAP(int, fdatasync, SYNC, (int file), (file))
