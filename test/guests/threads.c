/* Threads: mutexes, conditions, barriers, atomics, thread-local storage, cancellation, once. */
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { threads = 6, rounds = 5000 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_int counter;
static _Atomic uint64_t wide;
static long locked, onces, turn;
static __thread int own;
static sem_t semaphore;

static void first(void) { onces++; }
static void *work(void *argument) {
  int id = (int)(intptr_t)argument;
  pthread_once(&once, first);
  for (int i = 0; i < rounds; i++) {
    atomic_fetch_add(&counter, 1);
    atomic_fetch_add(&wide, 0x100000001ull);
    own += id;
    pthread_mutex_lock(&lock);
    locked++;
    pthread_mutex_unlock(&lock);
  }
  pthread_barrier_wait(&barrier);
  for (int i = 0; i < 20; i++) {
    pthread_mutex_lock(&lock);
    while (turn % threads != id)
      pthread_cond_wait(&changed, &lock);
    turn++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
  }
  sem_post(&semaphore);
  return (void *)(intptr_t)own;
}

static int cleaned;
static void clean(void *argument) { cleaned += (int)(intptr_t)argument; }
static void *wait_for_ever(void *argument) {
  pthread_cleanup_push(clean, (void *)5);
  sem_post(&semaphore);
  for (;;)
    pthread_testcancel();
  pthread_cleanup_pop(0);
  return NULL;
}
/* A spinlock and a lock-free list, in the plainest way: what reorders loads or stores breaks them. */
static atomic_flag spin = ATOMIC_FLAG_INIT;
static volatile int unprotected;
static void *spinner(void *argument) {
  for (int i = 0; i < rounds; i++) {
    while (atomic_flag_test_and_set(&spin))
      sched_yield();
    unprotected = unprotected + 1;
    atomic_flag_clear(&spin);
  }
  return NULL;
}

int main(void) {
  pthread_t thread[threads];
  pthread_barrier_init(&barrier, NULL, threads);
  sem_init(&semaphore, 0, 0);
  for (int i = 0; i < threads; i++)
    pthread_create(&thread[i], NULL, work, (void *)(intptr_t)i);
  for (int i = 0; i < threads; i++)
    sem_wait(&semaphore);
  long sum = 0;
  for (int i = 0; i < threads; i++) {
    void *result;
    pthread_join(thread[i], &result);
    sum += (long)(intptr_t)result;
  }
  printf("%d %ld %llx %ld %ld %ld %d\n", counter, locked, (unsigned long long)wide, sum, onces, turn, own);
  pthread_create(&thread[0], NULL, wait_for_ever, NULL);
  sem_wait(&semaphore);
  pthread_cancel(thread[0]);
  void *result;
  pthread_join(thread[0], &result);
  printf("cancelled %d, cleaned %d\n", result == PTHREAD_CANCELED, cleaned);
  for (int i = 0; i < 3; i++)
    pthread_create(&thread[i], NULL, spinner, NULL);
  for (int i = 0; i < 3; i++)
    pthread_join(thread[i], NULL);
  printf("spun %d\n", unprotected);
  return 0;
}
