/* ops/runtime/thread_priority.h - how the kernel shares the processors with the calling thread and with the threads that
 * it makes from then on: for what people wait for, and for what may take its time.
 *
 * None of it needs a privilege, and kernels that lack a part of it do without. Both may be called from any thread. */
#ifndef TARN_RUNTIME_THREAD_PRIORITY_H
#define TARN_RUNTIME_THREAD_PRIORITY_H

/* Its turns are short, so they come soon: since Linux 6.12 the scheduler (EEVDF) runs whoever asks for less at a time
 * before others who have had as much. Nobody's share changes. */
void thread_priority_prompt(void);

/* The least share of processors and disk, in turns of the usual length. There is no way back from it. */
void thread_priority_background(void);

#endif
