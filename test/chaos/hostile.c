/* Sends datagrams that nobody should take, a quarter of each kind: random bytes; a right header with a wrong tag; valid ones once more;
 * valid ones of an old session. In batches of one length (UDP_SEGMENT), at a rate. Prints one JSON line of what it sent and what it cost.
 *   hostile ADDRESS PORT SECONDS RATE LENGTH LIVE OLD      LIVE, OLD: files of recorded datagrams of LENGTH bytes, end to end */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

enum { KINDS = 4, BATCH = 40, POOL = 2000, SN_AT = 19, TAG_AT = 24, TAG_BYTES = 16 };
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

static uint64_t state = 88172645463325252u;
static uint64_t word(void) {
  state ^= state << 13;
  state ^= state >> 7;
  return state ^= state << 17;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what) {
  perror(what);
  exit(1);
}

/* A pool of POOL datagrams and one batch more, so that a batch may begin anywhere; filled from a file, or at random. */
static uint8_t *pool(const char *path, size_t length) {
  size_t bytes = (POOL + BATCH) * length;
  uint8_t *data = malloc(bytes);
  if (data == NULL) die("malloc");
  for (size_t i = 0; i + 8 <= bytes; i += 8) {
    uint64_t w = word();
    memcpy(data + i, &w, 8);
  }
  if (path == NULL) return data;
  FILE *file = fopen(path, "rb");
  if (file == NULL) die(path);
  size_t have = fread(data, length, POOL + BATCH, file);
  fclose(file);
  if (have == 0) die("no recorded datagrams");
  for (size_t i = have; i < POOL + BATCH; i++) memcpy(data + i * length, data + (i % have) * length, length);
  return data;
}

int main(int argc, char **argv) {
  if (argc != 8) return 2;
  double seconds = atof(argv[3]), rate = atof(argv[4]);
  size_t length = (size_t)atoi(argv[5]);
  uint8_t *pools[KINDS] = {pool(NULL, length), pool(argv[6], length), pool(argv[6], length), pool(argv[7], length)};
  /* Numbers that were never used, so that it is the tag that is looked at. */
  for (size_t i = 0; i < POOL + BATCH; i++) {
    uint8_t *datagram = pools[1] + i * length;
    datagram[SN_AT] |= 0x80;
    for (size_t b = 1; b < 5; b++) datagram[SN_AT + b] = (uint8_t)word();
    for (size_t b = 0; b < TAG_BYTES; b++) datagram[TAG_AT + b] = (uint8_t)word();
  }
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
  if (inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) die(argv[1]);
  int file = socket(AF_INET, SOCK_DGRAM, 0), segment = (int)length, buffer = 4 << 20;
  if (file < 0 || connect(file, (struct sockaddr *)&to, sizeof to) < 0) die("connect");
  if (setsockopt(file, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment) < 0) die("UDP_SEGMENT");
  setsockopt(file, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
  uint64_t sent[KINDS] = {0}, refused = 0, batches = 0;
  double began = now();
  for (int kind = 0; now() - began < seconds; kind = (kind + 1) % KINDS) {
    double early = began + (double)(++batches * BATCH) / rate - now();
    if (early > 0) {
      struct timespec t = {.tv_sec = (time_t)early, .tv_nsec = (long)((early - (double)(time_t)early) * 1e9)};
      nanosleep(&t, NULL);
    }
    const uint8_t *from = pools[kind] + (word() % POOL) * length;
    if (send(file, from, BATCH * length, 0) == (ssize_t)(BATCH * length)) sent[kind] += BATCH;
    else if (errno == ENOBUFS || errno == EAGAIN || errno == ECONNREFUSED) refused++;
    else die("send");
  }
  double took = now() - began;
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  double cpu = (double)use.ru_utime.tv_sec + (double)use.ru_utime.tv_usec / 1e6 + (double)use.ru_stime.tv_sec +
               (double)use.ru_stime.tv_usec / 1e6;
  printf("{\"random\":%lu,\"badTag\":%lu,\"replayed\":%lu,\"oldSession\":%lu,\"refused\":%lu,\"seconds\":%.3f,\"cpu\":%.3f}\n",
         sent[0], sent[1], sent[2], sent[3], refused, took, cpu);
  return 0;
}
