/* Nanoseconds for a cache line to go from one core to another and back: bounce CORE CORE.
 * About 85 where the cores share a last-level cache, about 450 where a hypervisor has put them apart; in the second state every
 * load generator loses a factor of two, so runs are only compared within the first. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 100000, WARM = 1000 };
static _Atomic int line __attribute__((aligned(128)));

static void pin(int core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    sched_setaffinity(0, sizeof set, &set);
}

static void *other(void *core) {
    pin((int)(long)core);
    for (int i = 0; i < ROUNDS; i++) {
        while (line != 1) {}
        line = 0;
    }
    return NULL;
}

int main(int argc, char **argv) {
    int here = argc > 1 ? atoi(argv[1]) : 0, there = argc > 2 ? atoi(argv[2]) : 1;
    pthread_t thread;
    struct timespec from, to;
    pthread_create(&thread, NULL, other, (void *)(long)there);
    pin(here);
    for (int i = 0; i < ROUNDS; i++) {
        if (i == WARM) clock_gettime(CLOCK_MONOTONIC, &from);
        line = 1;
        while (line != 0) {}
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    printf("%.0f\n", ((to.tv_sec - from.tv_sec) * 1e9 + to.tv_nsec - from.tv_nsec) / (ROUNDS - WARM));
    pthread_join(thread, NULL);
}
