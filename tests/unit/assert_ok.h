/* tests/unit/assert_ok.h - a call that must succeed: fails the test with the words of the `struct err err` in scope. */
#ifndef TARN_TEST_ASSERT_OK_H
#define TARN_TEST_ASSERT_OK_H

#define assert_ok(call)                                                                                                \
    do {                                                                                                               \
        if ((call) != 0)                                                                                               \
            fail_msg("%s: %s", #call, err.text);                                                                       \
    } while (0)

#endif
