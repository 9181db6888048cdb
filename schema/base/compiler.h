/* schema/base/compiler.h - the few attributes that every module may use. */
#ifndef TARN_BASE_COMPILER_H
#define TARN_BASE_COMPILER_H

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_at, first_at) __attribute__((format(printf, format_at, first_at)))
/* On the hot paths, where the compiler's guess was measured and lost: keep them few. */
#define ALWAYS_INLINE __attribute__((always_inline)) inline
#define NEVER_INLINE __attribute__((noinline))
#define COLD __attribute__((cold, noinline))
#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
