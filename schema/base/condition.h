/* schema/base/condition.h - condition variables whose waits end by the monotonic clock, whatever is done to the wall's. */
#ifndef TARN_BASE_CONDITION_H
#define TARN_BASE_CONDITION_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

void condition_init(pthread_cond_t *condition);

/* For pthread_cond_timedwait() on such a one: so many milliseconds from now. */
struct timespec condition_deadline(int64_t ms);

#endif
