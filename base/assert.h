/*
 * ph_assert: on in every build, for our own bugs only. Input from outside never reaches one.
 */
#ifndef PH_BASE_ASSERT_H
#define PH_BASE_ASSERT_H

_Noreturn void ph_assert_failed(const char *what, const char *file, int line);

#define ph_assert(condition)                                                                       \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ph_assert_failed(#condition, __FILE__, __LINE__);                                      \
    } while (0)

#endif
