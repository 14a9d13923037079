// A library between the program and MPI that ends one rank at one of its messages: SPO_MPI_LIBRARY names it.
//
//   DEATH=RANK:N:MILLISECONDS
//     RANK          the rank that dies, by SIGKILL
//     N             the N-th message that it sends or receives, from 1
//     MILLISECONDS  0: before the message; else so long after it, while the rank computes
//   DEATH_LOG=FILE
//     a line for each message: rank, N, "send" or "receive", bytes, milliseconds of work before it; and "death"
//
// It is linked to the launcher's library, and calls it by the names that the standard gives to all functions for this
// purpose. Handles are words, as in Sources/Ranks/MPILibrary.swift.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

typedef uintptr_t word;

int PMPI_Comm_rank(word, int *);
int PMPI_Isend(word, int, word, int, int, word, word *);
int PMPI_Irecv(word, int, word, int, int, word, word *);
int PMPI_Test(word *, int *, void *);

static int rank = -1, doomed = -1, log_file = -1;
static long place, delay, seen;
static double last;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return 1e3 * (double)time.tv_sec + 1e-6 * (double)time.tv_nsec;
}

__attribute__((constructor)) static void start(void) {
  const char *death = getenv("DEATH"), *log = getenv("DEATH_LOG");
  if (death && sscanf(death, "%d:%ld:%ld", &doomed, &place, &delay) != 3) abort();
  if (log) log_file = open(log, O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0644);
  last = now();
}

static void note(const char *what, int bytes, double milliseconds) {
  char line[128];
  int count = snprintf(line, sizeof line, "%d %ld %s %d %.0f\n", rank, seen, what, bytes, milliseconds);
  if (log_file >= 0 && write(log_file, line, (size_t)count) != count) abort();
}

static void die(double milliseconds) {
  note("death", 0, milliseconds);
  kill(getpid(), SIGKILL);
}

static void *wait_and_die(void *unused) {
  (void)unused;
  usleep((useconds_t)(1000 * delay));
  // Another message would have come first if the rank did not compute for so long.
  if (seen == place) die(delay);
  return NULL;
}

static void before(const char *what, int bytes) {
  __sync_add_and_fetch(&seen, 1);
  note(what, bytes, now() - last);
  if (rank == doomed && seen == place && delay == 0) die(0);
}

int MPI_Comm_rank(word communicator, int *result) {
  int code = PMPI_Comm_rank(communicator, result);
  rank = *result;
  return code;
}

int MPI_Isend(word bytes, int count, word type, int other, int tag, word communicator, word *request) {
  before("send", count);
  return PMPI_Isend(bytes, count, type, other, tag, communicator, request);
}

int MPI_Irecv(word bytes, int count, word type, int other, int tag, word communicator, word *request) {
  before("receive", count);
  return PMPI_Irecv(bytes, count, type, other, tag, communicator, request);
}

int MPI_Test(word *request, int *is_done, void *status) {
  int code = PMPI_Test(request, is_done, status);
  if (code || !*is_done) return code;
  last = now();
  pthread_t thread;
  if (rank == doomed && seen == place && delay > 0 && pthread_create(&thread, NULL, wait_and_die, NULL)) abort();
  return code;
}
